# What a guest says about itself: one fact a line, words parted by a tab, "end" at the end.
# POSIX sh, read-only, nothing but what every Debian and Ubuntu has. R is empty on a guest.

fact() {
    line=$1
    shift
    for word in "$@"; do
        line="$line	$(printf %s "$word" | tr '\n\t' '  ' | cut -c1-300)"
    done
    printf '%s\n' "$line"
}
facts() { # each line of stdin, whose words are parted by tabs already
    while IFS= read -r line; do printf '%s\t%s\n' "$1" "$line"; done | cut -c1-600 | head -n "$2"
}
limited() { # a program of the guest may hang
    if command -v timeout >/dev/null 2>&1; then timeout -k 2 "$@"; else shift; "$@"; fi
}
has() { command -v "$1" >/dev/null 2>&1; }
content() { if [ -r "$1" ]; then head -c 300 "$1" 2>/dev/null; fi; }
link_name() { if [ -e "$1" ]; then basename "$(readlink -f "$1")"; fi; }

say_system() {
    fact kernel "$(uname -s)" "$(uname -r)" "$(uname -m)"
    fact user "$(id -u)"
    for file in "$R/etc/os-release" "$R/usr/lib/os-release"; do
        if [ -r "$file" ]; then
            grep -E '^(ID|ID_LIKE|VERSION_ID|VERSION_CODENAME|PRETTY_NAME)=' "$file" |
                tr '\t' ' ' | facts os 8
            break
        fi
    done
    for file in "$R/run/systemd/container" "$R/run/.containerenv" "$R/.dockerenv"; do
        if [ -e "$file" ]; then fact container "$(basename "$file")"; fi
    done
    fact free / "$(df -Pk "$R/" | awk 'NR == 2 { print int($4 / 1024) }')"
    fact free /boot "$(df -Pk "$R/boot" 2>/dev/null | awk 'NR == 2 { print int($4 / 1024) }')"
    if has cloud-init; then
        fact cloud-init "$(limited 20 cloud-init status 2>/dev/null | sed -n 's/^status: *//p')"
    fi
}

say_secure_boot() {
    vars=$R/sys/firmware/efi/efivars
    if ! [ -d "$R/sys/firmware/efi" ]; then
        fact secure-boot bios
        return
    fi
    boot=$(od -An -tu1 -j4 -N1 "$vars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c" 2>/dev/null)
    mok=$(od -An -tu1 -j4 -N1 "$vars/MokSBStateRT-605dab50-e046-4300-abb6-3dd810dd8b23" 2>/dev/null)
    fact secure-boot efi "$(printf %s "$boot" | tr -d ' ')" "$(printf %s "$mok" | tr -d ' ')"
    for key in /var/lib/shim-signed/mok/MOK.der /var/lib/dkms/mok.pub; do
        if [ -r "$R$key" ]; then
            fact mok-key "$key" "$(limited 10 mokutil --test-key "$R$key" 2>&1 | head -n 1)"
        fi
    done
    if has mokutil; then fact mok-new "$(limited 10 mokutil --list-new 2>/dev/null | head -c 20)"; fi
}

say_cards() {
    for device in "$R"/sys/bus/pci/devices/*; do
        if [ -r "$device/vendor" ]; then
            fact pci "$(basename "$device")" "$(content "$device/vendor")" \
                "$(content "$device/device")" "$(content "$device/subsystem_vendor")" \
                "$(content "$device/subsystem_device")" "$(content "$device/class")" \
                "$(link_name "$device/driver")"
        fi
    done | head -n 300
    for node in "$R"/sys/class/drm/renderD*; do
        if [ -e "$node" ]; then
            fact render "$(basename "$node")" "$(link_name "$node/device")" \
                "$(link_name "$node/device/driver")" \
                "$(content "$node/device/mem_info_vram_total")"
        fi
    done | head -n 32
    for node in "$R"/dev/nvidia*; do
        if [ -c "$node" ] || [ -f "$node" ]; then fact nvidia-node "$(basename "$node")"; fi
    done | head -n 32
}

say_modules() {
    release=$(uname -r)
    for name in nouveau nova_core nvidia nvidia_drm nvidia_uvm amdgpu radeon i915 xe; do
        if [ -d "$R/sys/module/$name" ]; then
            fact module "$name" "$(content "$R/sys/module/$name/version")"
        fi
    done
    for name in nouveau nvidia amdgpu radeon i915 xe; do
        found=$(find "$R/lib/modules/$release" \( -name "$name.ko*" -o -name "$name-current*.ko*" \) \
            2>/dev/null | head -n 1)
        if [ -n "$found" ]; then
            fact module-file "$name" "$(modinfo -F version "$found" 2>/dev/null | head -n 1)" \
                "$(modinfo -F license "$found" 2>/dev/null | head -n 1)" \
                "$(modinfo -F signer "$found" 2>/dev/null | head -n 1)"
        fi
    done
    if [ -e "$R/lib/modules/$release/build/Makefile" ]; then fact headers "$release"; fi
    if has dkms; then limited 20 dkms status 2>/dev/null | tr '\t' ' ' | facts dkms 20; fi
    for file in "$R"/etc/modprobe.d/*.conf "$R"/lib/modprobe.d/*.conf "$R"/usr/lib/modprobe.d/*.conf; do
        if [ -r "$file" ] && grep -qE '^[[:space:]]*blacklist[[:space:]]+nouveau' "$file"; then
            fact nouveau-off "$(basename "$file")"
        fi
    done | head -n 10
    { dmesg 2>/dev/null || journalctl -k -b --no-pager -o cat 2>/dev/null; } |
        grep -E 'NVRM|nvidia|nouveau|amdgpu|i915|xe 0000|Lockdown:|module is rejected|Key was rejected|irmware' |
        tail -n 60 | tr '\t' ' ' | facts log 60
}

wanted_name='^(nvidia-(driver|open|kernel|headless|dkms|tesla|legacy|smi|utils|firmware)|linux-(modules-nvidia|modules-extra|image|headers|generic|virtual)|firmware-(amd|intel|misc|nvidia)|linux-firmware|libnvidia-compute|libcuda1|mesa-vulkan|shim-signed|mokutil|dkms|cuda-drivers|qemu-guest-agent|vulkan-tools|ubuntu-drivers)'

say_packages() {
    has dpkg-query || return 0
    fact manager dpkg "$(dpkg --print-architecture 2>/dev/null)"
    dpkg-query -W -f '${db:Status-Want}\t${db:Status-Status}\t${db:Status-Eflag}\t${Package}\t${Version}\n' \
        2>/dev/null | awk -F '\t' -v wanted="$wanted_name" '
            $2 == "not-installed" { next }
            $4 ~ wanted || $2 !~ /^(installed|config-files)$/ || $3 != "ok" || $1 == "hold"' |
        facts package 600
    for file in lib/dpkg/lock-frontend lib/dpkg/lock lib/apt/lists/lock; do
        inode=$(stat -c %i "$R/var/$file" 2>/dev/null) || continue
        awk -v inode="$inode" '{ split($6, part, ":"); if (part[3] == inode) print $5 }' \
            "$R/proc/locks" 2>/dev/null | while read -r pid; do
            fact lock "/var/$file" "$pid" "$(content "$R/proc/$pid/comm")"
        done
    done | head -n 5
}

signed_by() { # apt refuses two entries of one archive that name different keys
    sed -n -e 's/^[Ss]igned-[Bb]y: *\([^ ]*\).*/\1/p' -e 's/.*[[ ]signed-by=\([^] ]*\).*/\1/p' "$1" \
        2>/dev/null | head -n 1
}

say_offers() {
    has apt-cache || return 0
    apt-get indextargets --format '$(SITE)	$(RELEASE)	$(COMPONENT)	$(FILENAME)	$(SOURCESENTRY)' \
        'Created-By: Packages' 2>/dev/null | head -n 60 |
        while IFS='	' read -r site release component file entry; do
            if [ -e "$file" ]; then there=fetched; else there=missing; fi
            printf '%s\t%s\t%s\t%s\t%s\n' "$site" "$release" "$component" "$there" \
                "$(signed_by "${entry%:*}")"
        done | facts source 60
    release=$(uname -r | sed 's/[.+]/\\&/g') # a pattern below
    names=$(apt-cache pkgnames 2>/dev/null | grep -E "^(nvidia-driver(-[0-9]+(-server)?(-open)?)?|nvidia-tesla-[0-9]+-driver|nvidia-(open-kernel|kernel-open|kernel)-dkms|nvidia-dkms-[0-9]+(-server)?(-open)?|nvidia-smi|nvidia-tesla-[0-9]+-smi|libcuda1|libnvidia-tesla-[0-9]+-cuda1|linux-modules-nvidia-[0-9]+(-server)?(-open)?-($release|[a-z]+(-hwe-[0-9.]+)?)|linux-modules-extra-$release|linux-(image|headers)-(amd64|generic|virtual|generic-hwe-[0-9.]+|virtual-hwe-[0-9.]+)|linux-(generic|virtual)(-hwe-[0-9.]+)?|linux-headers-$release|firmware-(amd-graphics|intel-graphics|misc-nonfree|nvidia-gsp)|linux-firmware|mesa-vulkan-drivers|mokutil|shim-signed|dkms)\$" | head -n 400)
    if [ -n "$names" ]; then
        # shellcheck disable=SC2086
        apt-cache madison $names 2>/dev/null | grep ' Packages$' |
            sed 's/ *| */\t/g' | facts offer 900
    fi
    awk '$2 == "00000000" { found = 1 } END { print "route\t" (found ? "yes" : "no") }' \
        "$R/proc/net/route" 2>/dev/null
    if [ -r "$R/proc/net/ipv6_route" ] &&
        grep -qE '^0{32} 00 .* [^ ]*(eth|en|ens|wl)[^ ]*$' "$R/proc/net/ipv6_route"; then
        fact route6 yes
    fi
    proxy=$(apt-config dump 2>/dev/null | grep -ciE '^Acquire::https?::Proxy')
    fact proxy "$proxy"
    site=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 2>/dev/null | head -n 1 |
        sed 's,^[a-z+]*://,,; s,[/:].*,,')
    if [ -n "$site" ] && has getent; then
        if limited 8 getent hosts "$site" >/dev/null 2>&1; then fact dns yes "$site"; else fact dns no "$site"; fi
    fi
}

say_proof() {
    if has nvidia-smi; then
        said=$(limited 40 nvidia-smi \
            --query-gpu=pci.bus_id,name,driver_version,memory.total,compute_cap \
            --format=csv,noheader,nounits 2>&1)
        fact smi-status $?
        printf '%s\n' "$said" | tr '\t' ' ' | facts smi 16
    fi
    ls "$R"/sys/class/drm/renderD* >/dev/null 2>&1 || return 0
    if has vulkaninfo; then
        limited 30 vulkaninfo --summary 2>/dev/null | grep -E 'deviceName|driverInfo|deviceType' |
            tr '\t' ' ' | facts vulkan 24
    fi
    if has clinfo; then limited 30 clinfo -l 2>/dev/null | tr '\t' ' ' | facts opencl 16; fi
    if has rocminfo; then
        limited 30 rocminfo 2>/dev/null | grep -E 'Marketing Name|^  Name:' | tr '\t' ' ' | facts rocm 16
    fi
}

say_system
say_secure_boot
say_cards
say_modules
say_packages
say_offers
say_proof
echo end
