"""The systemd units that run ``check --drift`` once a day."""

from __future__ import annotations

_UNITS = "/etc/systemd/system"
SERVICE_NAME, TIMER_NAME = "hostpci-drift.service", "hostpci-drift.timer"
SERVICE, TIMER = f"{_UNITS}/{SERVICE_NAME}", f"{_UNITS}/{TIMER_NAME}"
# systemd follows only links in a .wants directory, and we write files: hence a drop-in
TIMER_START = f"{_UNITS}/timers.target.d/50-hostpci-drift.conf"

# What is not said on purpose: ProtectKernelModules= hides /usr/lib/modules, PrivateNetwork= shows
# another /sys/class/net, ProtectHome= and ProtectProc= are for what others run, PrivateDevices=
# hides /dev/disk, by which we see that an ESP is there, and /dev/zfs, which zpool list asks (what
# would change a pool needs CAP_SYS_ADMIN beside it). proxmox-boot-tool status mounts what it looks
# at, and cannot here: what is on the ESPs is then not measured. Status 3 fails the unit: that is
# how monitoring hears of it.
SERVICE_TEXT = """\
# Written by "hostpci check --drift --timer on", removed by "--timer off" or "hostpci undo".
[Unit]
Description=Has anything changed since hostpci last set up PCI passthrough?

[Service]
Type=oneshot
ExecStart={command} check --drift --lang en
TimeoutStartSec=30min
Nice=10
IOSchedulingClass=idle
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
DevicePolicy=closed
DeviceAllow=/dev/zfs rw
ProtectKernelTunables=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictAddressFamilies=AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
NoNewPrivileges=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
CapabilityBoundingSet=CAP_DAC_READ_SEARCH CAP_SYS_PTRACE
"""

# Monotonic: a persistent calendar timer keeps a stamp in /var/lib/systemd, which no undo knows of
TIMER_TEXT = """\
# Written by "hostpci check --drift --timer on", removed by "--timer off" or "hostpci undo".
[Unit]
Description=Daily look at what has changed since hostpci last set up PCI passthrough

[Timer]
OnBootSec=15min
OnUnitActiveSec=1d
RandomizedDelaySec=1h
"""
START_TEXT = """\
# Written by "hostpci check --drift --timer on": starts hostpci-drift.timer with the others.
[Unit]
Wants=hostpci-drift.timer
"""
