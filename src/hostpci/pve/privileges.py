"""PVE's privileges and the roles that hold them: what to grant so that a call is allowed. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

# A role of PVE's own that holds a privilege, in PVE 8 and 9; the first row that begins the name
# decides [pve-access-control PVE/AccessControl.pm create_roles]. An entry replaces what is
# inherited from above, so of machines the role is the one that holds all that passthrough needs
_ROLES = (
    ("VM.", "PVEVMAdmin"),
    ("Mapping.Modify", "PVEMappingAdmin"),
    ("Mapping.", "PVEMappingUser"),
    ("Datastore.Audit", "PVEAuditor"),
    ("Datastore.AllocateSpace", "PVEDatastoreUser"),
    ("Datastore.", "PVEDatastoreAdmin"),
    ("SDN.Use", "PVESDNUser"),
    ("Pool.Audit", "PVEAuditor"),
    ("Sys.Audit", "PVEAuditor"),
)
# PVE names nothing where one of several rules would do [pve-access-control PVE/RPCEnvironment.pm
# exec_api2_perm_check, "or"; qemu-server PVE/API2/Qemu.pm create_vm]
_UNNAMED = (
    (r"GET /cluster/mapping/pci/(?P<id>[^/]+)", "/mapping/pci/{id}", "Mapping.Use"),
    (r"POST /nodes/[^/]+/qemu", "/vms", "VM.Allocate"),
)
_OWN_ROLE = "hostpci"
_ROOT = "root@pam"


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """``privileges``: one of them is enough."""

    path: str
    privileges: tuple[str, ...]


def unnamed(call: str) -> Missing | None:
    """What a call lacks whose refusal names nothing; None: not known."""
    for pattern, path, privilege in _UNNAMED:
        match = re.fullmatch(pattern, call)
        if match is not None:
            return Missing(path=path.format(**match.groupdict()), privileges=(privilege,))
    return None


def role_for(privilege: str) -> str:
    """The role, or empty: none but Administrator holds it."""
    return next((role for begin, role in _ROLES if privilege.startswith(begin)), "")


def remedy(missing: Missing, who: str) -> str:
    """The command for the administrator of the node."""
    privilege = _chosen(missing.privileges)
    role = role_for(privilege)
    made = "" if role else f"pveum role add {_OWN_ROLE} --privs {privilege} && "
    return f"{made}pveum acl modify {missing.path} {_grantees(who)} --roles {role or _OWN_ROLE}"


def _chosen(privileges: tuple[str, ...]) -> str:
    """Of several that would do, the one that passthrough needs anyway."""
    wanted = ("VM.Config.HWType", "Sys.Audit", "VM.GuestAgent.Unrestricted")
    return next((each for each in wanted if each in privileges), privileges[0])


def _grantees(who: str) -> str:
    """A token has no more than its user, and with privilege separation no more than itself."""
    user, mark, _ = who.partition("!")
    if not mark:
        return f"--users {user}"
    return f"--tokens '{who}'" if user == _ROOT else f"--users {user} --tokens '{who}'"
