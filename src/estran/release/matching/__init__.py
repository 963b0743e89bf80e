"""Recognising a person in the tokens of several sites, where neither name nor key is known: `linking.link_records`."""
