# Sourced by up and down: what they agree on about the process between them.

data_dir=.turnpike
pid_file=$data_dir/turnpike.pid
port_file=$data_dir/turnpike.port
key_file=$data_dir/master.key
log=$data_dir/turnpike.log

# alive PID: whether the process runs. One that has ended and waits for its parent to notice does not.
alive() {
    kill -0 "$1" 2>/dev/null && ! grep -qs '^State:[[:space:]]*Z' "/proc/$1/status"
}

# running_pid: prints the id of the Turnpike that make up started; fails where there is none. The name is compared,
# because after a restart of the machine the number may belong to anybody.
running_pid() {
    [ -s "$pid_file" ] || return 1
    pid=$(cat "$pid_file")
    alive "$pid" || return 1
    if [ -r "/proc/$pid/comm" ]; then name=$(cat "/proc/$pid/comm"); else name=$(ps -o comm= -p "$pid"); fi
    [ "${name##*/}" = turnpike ] && echo "$pid"
}
