"""Readers and writers of volumes, one module a format; :mod:`gpemsr.data.volumes.formats` is their registry."""
