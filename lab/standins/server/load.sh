#!/bin/bash
# Runs in a lab host or a container: uses its services, well and badly, until the file /run/enough is
# there. Its arguments are which of the functions below.
set -u
exec >/run/load.log 2>&1
cd /var/tmp || exit 1

again() {
    while [ ! -e /run/enough ]; do
        "$@"
        sleep 1
    done
}

disk() {
    truncate -s "$2" "$1.img"
    losetup --find --show "$1.img"
}

logins() {
    local from=198.51.100.$((RANDOM % 20 + 1)) words="-o StrictHostKeyChecking=no -p 2222"
    sshpass -p correct-horse ssh $words -b "$from" alice@198.51.100.1 true
    sshpass -p wrong ssh $words -b "$from" alice@198.51.100.1 true
    sshpass -p wrong ssh $words -b "$from" admin@198.51.100.1 true
    ssh $words -o BatchMode=yes -b "$from" root@198.51.100.1 true
    (echo "GET / HTTP/1.0"; sleep 1) >/dev/tcp/198.51.100.1/2222
    su alice -c 'sudo -n id; echo wrong | sudo -S id; crontab -l; systemctl --user status'
}

web() {
    ab -q -n 600 -c 4 http://127.0.0.1:8081/
    ab -q -n 300 -c 4 http://127.0.0.1:8082/missing.php
    ab -q -n 60 -c 4 http://127.0.0.1:8081/api/jobs
    ab -q -n 60 -c 4 http://127.0.0.1:8080/.env
}

mail() {
    smtp-source -c -l 900 -m 40 -s 2 -f alice@example.org -t root@localhost 127.0.0.1:25
    smtp-source -c -m 5 -f bob@example.net -t nobody@elsewhere.invalid 127.0.0.1:25
    curl -s -m 5 --user alice:wrong imap://127.0.0.1/
    curl -s -m 5 --user alice:correct-horse imap://127.0.0.1/
}

names() {
    python3 -IS - <<'END'
import random, socket, struct
asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(400):
    name = b"".join(bytes([len(each)]) + each for each in (b"h%06x" % random.getrandbits(24), b"example", b"org"))
    asked.sendto(struct.pack(">6H", number, 256, 1, 0, 0, 0) + name + b"\0\0\1\0\1", ("127.0.0.1", 5300))
    asked.sendto(b"x" * 40, ("198.51.100.1", 7000 + number % 1000))
END
    sleep 1
}

databases() {
    su postgres -c 'pgbench -q -i -s 1 postgres; pgbench -n -c 2 -t 40 postgres'
    su postgres -c 'psql -c "select 1/0"; psql -c "select * from missing"'
    PGPASSWORD=wrong psql -h 127.0.0.1 -U alice postgres -c 'select 1'
    mariadb -h 127.0.0.1 -u alice -pwrong -e 'select 1'
    mariadb -e 'create database if not exists lab; use lab; select * from missing'
    redis-cli bgsave
    redis-cli --pass wrong ping
    echo stats | timeout 2 sh -c 'exec 3<>/dev/tcp/127.0.0.1/11211; cat >&3'
    timeout 2 bash -c 'echo x >/dev/tcp/127.0.0.1/1883'
}

shares() {
    smbclient -N -L 127.0.0.1
    smbclient -U alice%wrong '//127.0.0.1/homes' -c ls
    mkdir -p /mnt/nfs
    mount -t nfs -o soft,timeo=10,retrans=1 127.0.0.1:/srv/export /mnt/nfs
    systemctl stop nfs-server
    timeout 20 ls /mnt/nfs
    systemctl start nfs-server
    umount -f /mnt/nfs
    tgtadm --lld iscsi --op new --mode target --tid 1 -T iqn.2026-01.org.example:one
    truncate -s 64M iscsi.img
    tgtadm --lld iscsi --op new --mode logicalunit --tid 1 --lun 1 -b /var/tmp/iscsi.img
    tgtadm --lld iscsi --op bind --mode target --tid 1 -I ALL
    iscsiadm -m discovery -t st -p 127.0.0.1
    iscsiadm -m node --login
    sleep 2
    systemctl restart tgt
    sleep 5
    iscsiadm -m node --logout
}

filesystems() {
    local kind device
    for kind in ext4 xfs btrfs; do
        device=$(disk $kind 400M)
        mkfs.$kind "$device" && mkdir -p /mnt/$kind && mount "$device" /mnt/$kind
        cp -r /etc /mnt/$kind
        umount /mnt/$kind
        # A disk that has lost what was on it
        dd if=/dev/urandom of="$device" bs=1M seek=1 count=60 conv=notrunc
        mount "$device" /mnt/$kind && ls -R /mnt/$kind
        dd if=/dev/zero of=/mnt/$kind/full bs=1M count=500
        umount /mnt/$kind
        losetup -d "$device"
    done
    device=$(disk worn 64M)
    echo "0 131072 error" | dmsetup create worn
    dd if=/dev/mapper/worn of=/dev/null bs=4k count=8
    mkfs.ext4 /dev/mapper/worn
    dmsetup remove worn
    losetup -d "$device"
    modprobe scsi_debug dev_size_mb=32 num_tgts=2 opts=2 every_nth=20
    sleep 3
    for device in /dev/disk/by-id/scsi-*; do dd if="$device" of=/dev/null bs=4k count=500; done
    multipath -r
    systemctl restart smartmontools
    modprobe -r scsi_debug
}

volumes() {
    local one two
    one=$(disk one 200M) two=$(disk two 200M)
    yes | mdadm --create /dev/md7 --level=1 --raid-devices=2 "$one" "$two"
    mdadm /dev/md7 --fail "$two"
    mdadm /dev/md7 --remove "$two"
    mdadm /dev/md7 --add "$two"
    sleep 5
    pvcreate -y /dev/md7 && vgcreate lab /dev/md7
    lvcreate -L 60M --thinpool pool lab
    lvcreate -V 200M --thin -n thin lab/pool
    dd if=/dev/zero of=/dev/lab/thin bs=1M count=100 conv=fsync
    lvcreate -s -n snapshot lab/thin
    vgremove -ff -y lab
    mdadm --stop /dev/md7
    losetup -d "$one" "$two"
}

networks() {
    ip link add lab0 type bridge
    ip link add left type veth peer name right
    ip link set left master lab0 up
    ip link set right up
    ip link set lab0 up
    ip link set left promisc on
    sleep 1
    ip link set right down
    ip link set right up
    ip link add bond7 type bond mode active-backup miimon 100
    ip link set right down
    ip link set right master bond7
    ip link set bond7 up
    sleep 1
    ip link set right nomaster
    ip link del bond7
    ip link del left
    ip link del lab0
    ip link add wg7 type wireguard && ip link del wg7
    ip link add vx7 type vxlan id 7 dstport 4789 dev strangers && ip link del vx7
    ip link set strangers down
    sleep 1
    ip link set strangers up
    ipsec restart
    sleep 5
}

machines() {
    cat >machine.xml <<'END'
<domain type="qemu"><name>small</name><memory unit="MiB">64</memory><vcpu>1</vcpu>
<os><type arch="x86_64" machine="q35">hvm</type></os>
<devices><interface type="network"><source network="default"/></interface></devices></domain>
END
    virsh net-start default
    virsh create machine.xml
    sleep 15
    virsh destroy small
    virsh start missing
    virsh net-destroy default
}

programs() {
    local at
    for at in $(seq 1 10); do systemd-run --quiet --wait true; done
    systemd-run --quiet --wait false
    systemd-run --quiet --wait -p RuntimeMaxSec=2 sleep 60
    systemd-run --quiet --wait -p MemoryMax=30M -p MemorySwapMax=0 \
        python3 -c 'x = [bytes(1 << 20) + b"1" for _ in range(200)]'
    systemd-run --quiet --wait python3 -c 'import ctypes; ctypes.string_at(0)'
    systemd-run --quiet --wait python3 -c 'import ctypes; ctypes.string_at(1 << 60)'
    systemd-run --quiet --wait -p PrivateDevices=yes dd if=/dev/mem of=/dev/null count=1
    echo 0 >/sys/devices/system/cpu/cpu1/online
    echo 1 >/sys/devices/system/cpu/cpu1/online
    for at in zram nbd dummy netconsole missing_module softdog usbip_core vhci_hcd loop sr_mod; do
        modprobe $at && modprobe -r $at
    done
    systemctl restart cron chrony snmpd avahi-daemon lldpd irqbalance acpid rasdaemon udisks2
    systemctl restart corosync keepalived fail2ban memcached mosquitto zabbix-agent
    systemctl start logrotate sysstat-collect apt-daily
    systemctl reload nginx apache2 postfix haproxy
    timeout 60 unattended-upgrade --dry-run
    udevadm trigger --action=change
    fstrim -av
    sleep 5
}

for each in "$@"; do
    again "$each" &
done
wait
