"""The commands of ``slapcluster``, a module for each noun.

Modules here load neither Twisted nor ZODB when imported: the shell imports them at
every TAB.
"""
