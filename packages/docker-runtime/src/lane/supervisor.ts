import { spoolProgram } from './supervisor-spool.ts';

/**
 * The program at the far end of a lane, for any POSIX `sh` (dash, busybox, bash tried). It runs as root without any
 * capability but changing user and sending signals, reads requests line by line, and starts each command as the
 * sandbox's user.
 *
 * - Every process of a command carries a mark: a hard limit on resident set size, which kernels do not enforce, set to
 *   an impossibly large number made of token (above 20 bits) and execution (the lower 20 bits). It is inherited, survives `setsid`, `exec` and a cleared
 *   environment, can be lowered but never raised, and can be read of any process without special rights.
 * - A command takes its mark first and compares the fence second. Whoever fences writes the fence first and lists marks
 *   second, so nothing can slip between the two.
 * - The fence file is only ever appended to; all its lines hold, so it cannot be lowered, not even by a race.
 * - A result is the nonce of the request on both streams. Commands cannot read it: they run under another user.
 * - A request that is cut off by the death of its sender is never carried out, and its running command is ended.
 * - Death by a signal is told from an exit code above 128 by the shell's own message about it, which dash and busybox
 *   write for all signals but SIGINT and SIGPIPE, and bash for none: there it reads as 128 and the signal's number.
 *
 * A command in the background has a supervisor of its own, which nobody needs to listen to: its outputs go to a spool, a
 * directory that only root can read, in pieces that whoever has taken them lets go; while nobody does, the command waits.
 *
 * Arguments: uid, gid, and `first` (main process of the container: idles when its stream ends), `lane`, or `spool` (one
 * command in the background) with its time limit in seconds.
 */
const program = String.raw`set -f
umask 022
U=$1 G=$2 K=$3 LIMIT=$4 D=/run/oct B=4503599627370496 SH=/bin/sh HOW=none N= ME=
find_tool() { T=; for d in /usr/bin /bin /usr/sbin /sbin; do [ -x "$d/$1" ] && { T=$d/$1; return 0; }; done; return 1; }
while read -r a b c; do [ "$a" = Uid: ] && { ME=$b; break; }; done </proc/self/status
find_tool setsid && SS=$T || SS=
find_tool rm && RM=$T || RM=:
find_tool sleep && NAP=$T || NAP=:
set --
for f in 1 2; do [ -p /proc/$$/fd/$f ] && set -- "$@" /proc/$$/fd/$f; done
[ "$ME" = 0 ] && [ $# -gt 0 ] && find_tool chmod && "$T" 0622 "$@"
Q=$D
if [ "$ME" != 0 ]; then HOW=plain S=/tmp/.oct-$$ Q=/tmp/.oct-spool; find_tool mkdir && { "$T" -m 0700 "$S"; "$T" -p -m 0700 "$Q"; } 2>/dev/null
else
  S=$D
  if find_tool setpriv && "$T" --reuid="$U" --regid="$G" --clear-groups --inh-caps=-all "$SH" -c : </dev/null >/dev/null 2>&1; then HOW=setpriv SP=$T
  elif find_tool su && [ -r /etc/passwd ]; then
    while IFS=: read -r a b c d; do [ "$c" = "$U" ] && { N=$a; break; }; done </etc/passwd
    [ "$N" ] && "$T" -p -s "$SH" -c : -- "$N" </dev/null >/dev/null 2>&1 && HOW=su SP=$T
  fi
  [ "$K" = first ] && [ ! -s /etc/hosts ] && { printf '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n' >/etc/hosts; } 2>/dev/null
fi
OF=; for f in /sys/fs/cgroup/memory.events /sys/fs/cgroup/memory/memory.oom_control; do [ -r $f ] && OF=$f; done
L=$S/lane.$$ E=$S/err.$$ R=$S/reader.$$ F=

oom() { O=0; [ "$OF" ] && while read -r a b; do [ "$a" = oom_kill ] && O=$b; done <"$OF"; return 0; }
says() {
  said=1
  [ "$F" ] && { read -r a b </proc/uptime; printf '%s %s %s\n' "$2" "$began" "$a" >"$F/result"; return 0; }
  printf '\036%s %s\n' "$1" "$2"; printf '\036%s %s\n' "$1" "$2" >&2
}
hex() { case $1 in *[!0-9a-f]*|'') return 1 ;; esac; [ $\{#1} -eq 32 ]; }
num() { case $1 in *[!0-9]*|'') return 1 ;; esac; }
nums() { for a in "$@"; do num "$a" || return 1; done; }

as_agent() {
  case $HOW in
    setpriv) exec "$SP" --reuid="$U" --regid="$G" --clear-groups --inh-caps=-all $SS "$@" ;;
    su) exec "$SP" -p -s "$SH" -c "exec $SS \"\$@\"" -- "$N" oct "$@" ;;
    plain) exec $SS "$@" ;;
    *) exit 125 ;;
  esac
}

allowed() { # token
  [ -r "$D/fence" ] || return 1
  ok= bad=
  while IFS=' ' read -r a b; do
    ok=1
    [ "$1" -ge "$a" ] || bad=1
    case " $b " in *" $1 "*) bad=1 ;; esac
  done <"$D/fence"
  [ "$ok" ] && [ -z "$bad" ]
}

mark_of() { # sets V, empty for a process without a mark
  V=
  { while read -r a b c d x y; do
    [ "$b" = resident ] || continue
    case $x in *[!0-9]*) ;; *) V=$((x / 1024)) ;; esac
    break
  done <"/proc/$1/limits"; } 2>/dev/null
}

scan() { # fills P with pid:mark of every marked process; forks nothing, so that it works when no process can be made
  P=
  set +f
  for f in /proc/[0-9]*; do f=$\{f#/proc/}; mark_of "$f"; [ "$V" ] && P="$P $f:$V"; done
  set -f
}

dead() { l=; { read -r l <"/proc/$1/stat"; } 2>/dev/null || return 0; case $\{l##*) } in Z*|X*) return 0 ;; esac; return 1; }

known() { # a mark of a command that runs, or ended and left processes behind
  case $HOW in setpriv|su) ;; *) return 0 ;; esac
  set +f
  for f in "$D"/lane.* "$D/left"; do
    while read -r a b; do [ "$a" = "$1" ] && { set -f; return 0; }; done <"$f"
  done 2>/dev/null
  set -f
  return 1
}

end() { # all | fence | execution X: stops what it names until a listing shows nothing new, then kills; C counts
  C=0 seen=' ' i=0
  while [ $i -lt 400 ]; do
    scan; hit= fresh=
    for e in $P; do
      p=$\{e%%:*} v=$\{e#*:}
      case $1 in
        fence) [ "$v" -ge "$B" ] && allowed $(((v - B) >> 20)) && known "$v" && continue ;;
        execution) [ $((v & 1048575)) != "$2" ] && known "$v" && continue ;;
      esac
      dead "$p" && continue
      hit="$hit $p"
      case $seen in *" $p "*) ;; *) fresh=1 seen="$seen$p " C=$((C + 1)); kill -STOP "$p" 2>/dev/null ;; esac
    done
    [ "$hit" ] || return 0
    [ "$fresh" ] && [ $i -lt 40 ] || kill -9 $hit 2>/dev/null
    i=$((i + 1))
    [ $i -gt 20 ] && "$NAP" 0.02 2>/dev/null
  done
  return 1
}
stop_execution() { { : >"$D/x.$1"; } 2>/dev/null; end execution "$1"; }

running() { # an execution, on some lane
  set +f
  for f in "$D"/lane.*; do a=; read -r a b <"$f"; num "$a" && [ $((a & 1048575)) = "$1" ] && { set -f; return 0; }; done 2>/dev/null
  set -f
  return 1
}

left_behind() { # sets left: 1 same session, 2 handed to the init
  left=0 k1= a= c=
  { IFS= read -r k1 </proc/1/task/1/children; read -r a c <"$L"; } 2>/dev/null
  if [ "$SS" ] && [ "$c" ] && kill -0 "-$c" 2>/dev/null; then left=1
  elif [ "$k1" != "$k0" ]; then
    for p in $k1; do case " $k0 " in *" $p "*) ;; *) mark_of "$p"; [ "$V" = "$mark" ] && left=2 ;; esac; done
  fi
}

work() { # token mark flags nenv, then env and argv
  token=$1 mark=$2 flags=$3 n=$4; shift 4
  execution=$((mark & 1048575))
  oom; O0=$O k0=
  { IFS= read -r k0 </proc/1/task/1/children; } 2>/dev/null
  printf '%s\n' "$mark" >"$L"
  { (
    exec 2>&3 3>&-
    case $flags in *i*) exec <&4 ;; *) exec </dev/null ;; esac
    exec 4<&-
    read -r me r </proc/self/stat && printf '%s %s\n' "$mark" "$me" >"$L"
    ulimit -m "$mark" && allowed "$token" && [ ! -e "$D/x.$execution" ] || exit 125
    while [ "$n" -gt 0 ]; do export "OCTV_$1" || exit 125; shift; n=$((n - 1)); done
    as_agent "$@"
  ); s=$?; } 3>&2 2>"$E"
  [ "$s" -gt 128 ] && [ -s "$E" ] && s="s$((s - 128))"
  note=- left=0
  [ "$s" = 0 ] || { oom; [ "$O" = "$O0" ] || note=oom; }
  if [ -e "$D/x.$execution" ]; then note=cut; elif ! allowed "$token"; then note=fenced; fi
  case $note in
    cut|fenced) end execution "$execution" || left=3; [ $note = cut ] && "$RM" -f "$D/x.$execution" ;;
    *) left_behind; [ $left = 0 ] || { printf '%s\n' "$mark" >>"$D/left"; } 2>/dev/null ;;
  esac
  printf 'done\n' >"$L"
  [ "$F" ] && kept
  says "$nonce" "$s $left $note"
}

run() { # nonce token mark flags nenv, then env and argv
  hex "$1" && nums "$2" "$3" "$5" || return 1
  shift
  allowed "$1" || { says "$nonce" refused; return 0; }
  [ "$HOW" != none ] || { says "$nonce" no-user; return 0; }
  if [ "$K" = spool ]; then keep "$@"; else work "$@"; fi
}

@SPOOL@

fence() { # min and revoked tokens
  low= new=" $* "
  [ -e "$D/fence" ] && while read -r a b; do
    [ "$1" -ge "$a" ] || low=1
    for a in $b; do [ "$a" -lt "$1" ] && continue; case $new in *" $a "*) ;; *) low=1 ;; esac; done
  done <"$D/fence"
  [ "$low" ] && { says "$nonce" lower; return 0; }
  printf '%s\n' "$*" >>"$D/fence"
  end fence && says "$nonce" "ok $C" || says "$nonce" "left $C"
}

all() { # signal: 9 ends, 15 asks, 0 counts
  if [ "$1" = 9 ]; then end all && says "$nonce" "ok $C" || says "$nonce" "left $C"; return 0; fi
  scan; C=0
  for e in $P; do p=$\{e%%:*}; dead "$p" && continue; C=$((C + 1)); [ "$1" = 15 ] && kill -15 "$p" 2>/dev/null; done
  says "$nonce" "ok $C"
}

frame() { # reads the rest of a request; what is cut off is not carried out
  H=$\{1#run }; set --; f= h=
  while IFS= read -r l; do
    case $l in
      =*) [ "$h" ] && set -- "$@" "$f"; f=$\{l#=} h=1 ;;
      +*) f="$f
$\{l#+}" ;;
      ".$nonce") [ "$h" ] && set -- "$@" "$f"; run $H "$@"; return $? ;;
      *) return 1 ;;
    esac
  done
  return 1
}

leave() {
  [ "$said" ] || says "$nonce" lost
  { read -r a <"$R"; kill "$a"; } 2>/dev/null
  "$RM" -f "$L" "$E" "$R"
}

runner() {
  said=1
  trap leave EXIT
  while IFS= read -r l; do
    verb=$\{l%% *}
    case $verb in
      run) nonce=$\{l#run }; nonce=$\{nonce%% *}; hex "$nonce" || break; said=; frame "$l" || break; continue ;;
    esac
    set -- $l; nonce=$2
    hex "$nonce" || break
    said=
    shift 2
    nums "$@" || break
    case $verb in
      hello) says "$nonce" "ok $HOW" ;;
      init) [ -e "$D/fence" ] || printf '%s\n' "$*" >>"$D/fence"; says "$nonce" "ok 0 $HOW" ;;
      fence) fence "$@" ;;
      cut) stop_execution "$1" && r=ok || r=left
        running "$1" || "$RM" -f "$D/x.$1"
        says "$nonce" "$r $C" ;;
      all) all "$1" ;;
      look|pull|signal|eof) "$verb" "$@" ;;
      forget) "$RM" -rf "$Q/bg.$1"; says "$nonce" "ok 0" ;;
      *) break ;;
    esac
  done
}

reader() { # passes whole lines on and stays able to hear while a command runs
  read -r me r </proc/self/stat && printf '%s\n' "$me" >"$R"
  exec 4<&-
  m= i=
  while IFS= read -r l; do
    case $l in
      'end '*) l=$\{l#end }; num "$l" && stop_execution "$l"; continue ;;
      'run '*) set -- $l; m=$4 i=; case $5 in *i*) i=".$2" ;; esac ;;
    esac
    printf '%s\n' "$l"
    [ "$i" ] && [ "$l" = "$i" ] && { : >"$R"; return 0; }
  done
  exec >&-
  a=done
  { read -r a b <"$L"; } 2>/dev/null
  [ "$a" = done ] || stop_execution $((m & 1048575))
}

if [ "$K" = spool ]; then
  IFS= read -r l && verb=$\{l%% *} nonce=$\{l#run } && nonce=$\{nonce%% *} && [ "$verb" = run ] && hex "$nonce" && frame "$l"
  "$RM" -f "$L" "$E"
  [ "$HOW" = plain ] && "$RM" -rf "$S"
  exit 0
fi
exec 4<&0
reader | runner
exec 4<&-
[ "$HOW" = plain ] && "$RM" -rf "$S"
[ "$K" = first ] && exec "$NAP" 2147483647 </dev/null >/dev/null 2>&1
exit 0
`;

export const supervisor = program.replace('@SPOOL@', () => spoolProgram).replaceAll('$\\{', '${');
