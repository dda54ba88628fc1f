"""A PVE node that is not one: the model, the programs ``pvesh`` and ``qm``, the HTTPS server.

It answers as the recorded answers of real PVE code do, validates every call against the published
schema, and needs the standard library and hostpci only, so it also runs inside the lab's host.
"""
