"""The question: frozen nodes, their languages, and the engines that answer them."""
