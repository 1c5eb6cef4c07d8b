"""The relay: releases of any replica of the master, at one local address for ever."""
