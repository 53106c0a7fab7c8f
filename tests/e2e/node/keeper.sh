#!/usr/bin/env bash
# Holds a machine within this one as long as standard input is open: process, mount and network namespaces, joined to this machine by a pair
# of interfaces. When the input ends, however the tests do, the machine ends with everything that runs on it, and nothing of it is left: not
# in its folder, not in the cgroups, the interfaces or the packet filter.
# Usage: keeper.sh FOLDER NETWORK        Says `machine PID` when it is there. NETWORK is three quarters of an address, of which
#                                        .1 is this machine, .2 the other; the two networks of 256 that follow are its pods' and services'.
set -euo pipefail
folder=$1 network=$2
link=spark-e2e
cgroup=spark-admission-e2e
chain=SPARK-ADMISSION-E2E
# What the tests send their process group is for the tests: this ends when its input does.
trap '' HUP INT TERM

# Removes the cgroups, which takes them to be empty; false where some are not.
remove_cgroups() {
    local left=0 top
    for top in /sys/fs/cgroup/"$cgroup" /sys/fs/cgroup/*/"$cgroup"; do
        [ ! -d "$top" ] || find "$top" -depth -type d -exec rmdir {} + 2>/dev/null || left=1
    done
    return "$left"
}

# What a kubelet and we set for the whole machine goes back to what it was.
settings=(net/ipv4/ip_forward vm/overcommit_memory kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes)
declare -A before
for setting in "${settings[@]}"; do before[$setting]=$(<"/proc/sys/$setting"); done

remove_from_machine() {
    local table filter
    ip link delete "$link" 2>/dev/null || true
    for table in nat:POSTROUTING filter:FORWARD; do
        filter=(iptables --wait --table "${table%%:*}")
        "${filter[@]}" --delete "${table##*:}" --jump "$chain" 2>/dev/null || true
        "${filter[@]}" --flush "$chain" 2>/dev/null || true
        "${filter[@]}" --delete-chain "$chain" 2>/dev/null || true
    done
    # The processes are killed with their namespace; the kernel takes a moment to bury them.
    for _ in {1..50}; do
        ! remove_cgroups || return 0
        sleep 0.1
    done
    echo "cannot remove the cgroups $cgroup: something runs in them" >&2
}

unshare=
remove() {
    if [ -n "$unshare" ]; then
        kill -s KILL "$unshare" 2>/dev/null || true
        wait "$unshare" 2>/dev/null || true
    fi
    remove_from_machine
    for setting in "${settings[@]}"; do printf '%s' "${before[$setting]}" >"/proc/sys/$setting" || true; done
    [ -n "${KEEP_NODE:-}" ] || rm -rf --one-file-system "$folder"
}

if ip link show "$link" >/dev/null 2>&1; then
    echo "there is an interface $link: another end-to-end test runs on this machine" >&2
    exit 1
fi
# What a keeper that was killed itself has left.
remove_from_machine
trap remove EXIT

exec 3<&0
# The kubelet's mounts are shared with its pods, and with nobody outside. Kubelet, containerd and network plugins write to some places that they
# cannot be told: what they write there is in the folder, on top of what the machine has.
unshare --pid --net --mount --fork --kill-child --mount-proc bash -c '
    set -e
    trap "" HUP INT TERM
    mount --make-rshared /
    for place in /run /usr/libexec /var/lib /var/log; do
        mkdir -p "$0/on-top$place" "$0/work$place"
        mount -t overlay -o "lowerdir=$place,upperdir=$0/on-top$place,workdir=$0/work$place" overlay "$place"
    done
    ip link set lo up
    read -r _
' "$folder" <&3 >&2 &
unshare=$!
machine=
for _ in {1..100}; do
    machine=$(cat "/proc/$unshare/task/$unshare/children" 2>/dev/null || true)
    machine=${machine%% *}
    # It is ready when its loopback interface is, the last thing that it sets.
    [ -z "$machine" ] || ! nsenter --target "$machine" --net ip link show lo 2>/dev/null | grep -q ',UP' || break
    sleep 0.05
done

outside=$(ip route show default | sed -n '1s/.* dev \([^ ]*\).*/\1/p')
mtu=$(cat "/sys/class/net/$outside/mtu")
ip link add "$link" mtu "$mtu" type veth peer name uplink mtu "$mtu" netns "$machine"
ip address add "$network.1/24" dev "$link"
ip link set "$link" up
inside=(nsenter --target "$machine" --net)
"${inside[@]}" ip address add "$network.2/24" dev uplink
"${inside[@]}" ip link set uplink up
"${inside[@]}" ip route add default via "$network.1"
"${inside[@]}" sh -c 'printf 1 >/proc/sys/net/ipv4/ip_forward'
printf 1 >/proc/sys/net/ipv4/ip_forward
third=${network##*.}
for behind in $((third + 1)) $((third + 2)); do
    ip route add "${network%.*}.$behind.0/24" via "$network.2"
done
# Packets of the machine leave under this one's address, and come back, whatever else is filtered here.
iptables --wait --table nat --new-chain "$chain"
iptables --wait --table nat --append "$chain" --source "$network.0/24" ! --destination "${network%.*}.0.0/16" --jump MASQUERADE
iptables --wait --table nat --append POSTROUTING --jump "$chain"
iptables --wait --new-chain "$chain"
iptables --wait --append "$chain" --in-interface "$link" --jump ACCEPT
iptables --wait --append "$chain" --out-interface "$link" --jump ACCEPT
iptables --wait --insert FORWARD --jump "$chain"

for controller in $(awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts); do
    mkdir -p "$controller/$cgroup"
    # In the second version of cgroups what a controller counts is switched on, level by level.
    if [ -f "$controller/cgroup.subtree_control" ]; then
        for kind in $(cat "$controller/cgroup.controllers"); do
            printf '+%s' "$kind" >"$controller/cgroup.subtree_control" || true
            printf '+%s' "$kind" >"$controller/$cgroup/cgroup.subtree_control" || true
        done
    fi
done
echo "machine $machine"
wait "$unshare" || true
