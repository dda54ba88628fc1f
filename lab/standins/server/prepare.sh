#!/bin/bash
# Runs in a lab host or a container: sets its services up so that they write into the journal, and starts them.
# What fails here fails as on any server, and is as welcome in the journal.
set -u
exec >/run/prepare.log 2>&1

mkdir -p /etc/systemd/journald.conf.d /var/log/journal
printf '[Journal]\nStorage=persistent\nRateLimitIntervalSec=0\nSystemMaxUse=2G\n' \
    >/etc/systemd/journald.conf.d/lab.conf
systemctl restart systemd-journald
systemctl unmask systemd-logind

# Addresses that strangers come from
ip link add strangers type dummy
ip link set strangers up
for at in $(seq 1 20); do ip addr add 198.51.100.$at/32 dev lo; done
nft -f - <<'END'
table inet lab {
    chain input {
        type filter hook input priority -10;
        udp dport 7000-7999 log prefix "[drop] " drop
        tcp dport 7000-7999 log prefix "[reject] " reject
    }
}
END
ufw allow from 10.0.2.0/24
ufw allow from 198.51.100.0/24
ufw allow from 127.0.0.0/8
ufw logging high
ufw --force enable

useradd -m alice
echo alice:correct-horse | chpasswd
mkdir -p /run/sshd
/usr/sbin/sshd -p 2222 -o UsePAM=yes -o PasswordAuthentication=yes -o PidFile=/run/sshd-lab.pid

cat >/etc/nginx/sites-enabled/lab <<'END'
server {
    listen 8081;
    root /var/www/html;
    access_log syslog:server=unix:/dev/log,nohostname combined;
    error_log syslog:server=unix:/dev/log,nohostname;
    location /api { proxy_pass http://127.0.0.1:9; }
}
END
sed -i 's/^Listen 80$/Listen 8080/' /etc/apache2/ports.conf
cat >/etc/apache2/conf-enabled/lab.conf <<'END'
ErrorLog syslog:local1
CustomLog "|/usr/bin/logger -t apache2" combined
END
cat >/etc/haproxy/haproxy.cfg <<'END'
global
    log /dev/log local0
    user haproxy
    group haproxy
defaults
    mode http
    log global
    option httplog
    timeout connect 2s
    timeout client 5s
    timeout server 5s
frontend web
    bind :8082
    default_backend some
backend some
    server one 127.0.0.1:8081 check
    server two 127.0.0.1:9 check
END
printf 'port=5300\nlog-queries\nno-resolv\naddress=/example.org/192.0.2.1\n' >/etc/dnsmasq.d/lab.conf
printf 'vrrp_instance web {\n interface strangers\n virtual_router_id 7\n priority 100\n' \
    >/etc/keepalived/keepalived.conf
printf ' virtual_ipaddress {\n  198.51.100.200\n }\n}\n' >>/etc/keepalived/keepalived.conf
printf '[DEFAULT]\nbackend = systemd\n[sshd]\nenabled = true\nport = 2222\n' \
    >/etc/fail2ban/jail.d/lab.conf
sed -i 's/^logtarget.*/logtarget = SYSLOG/' /etc/fail2ban/fail2ban.conf
sed -i 's/^ *log file.*/ logging = systemd@3\n log level = 3/' /etc/samba/smb.conf
echo 'log_dest syslog' >/etc/mosquitto/conf.d/lab.conf
printf 'listener 1883\nlog_type all\n' >>/etc/mosquitto/conf.d/lab.conf
echo 'syslog-enabled yes' >>/etc/redis/redis.conf
printf '[mariadbd]\nlog_warnings = 4\n' >/etc/mysql/mariadb.conf.d/90-lab.cnf
echo 'auth_verbose = yes' >/etc/dovecot/conf.d/90-lab.conf
printf "log_destination = 'syslog'\nlog_statement = 'all'\nlog_connections = on\n" \
    >/etc/postgresql/15/main/conf.d/lab.conf
mkdir -p /srv/export
echo '/srv/export 127.0.0.1(rw,no_subtree_check)' >/etc/exports
printf '* * * * * root true\n* * * * * alice false\n' >/etc/cron.d/lab

systemctl daemon-reload
systemctl start multi-user.target
systemctl start systemd-logind sysstat
systemctl --plain --no-legend list-units --type=service --state=running | wc -l >/run/services
