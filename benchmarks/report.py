def write(work, document): pass
