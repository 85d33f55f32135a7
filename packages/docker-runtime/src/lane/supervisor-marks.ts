/**
 * The part of the supervisor that finds the processes of commands by their marks, and ends them. It forks nothing, so that it
 * works when no process can be made.
 *
 * A process that is kept ready for a command has a mark of its lane, which stands for the mark of the command that the lane has
 * taken, or for none while it is idle: such a process belongs to nobody and is not counted. Whatever ends others ends it as well,
 * once, when nothing else is left that could get into the one that follows it. Anything else with that mark is a stray.
 */
export const marksProgram = String.raw`mark_of() { # sets V, empty for a process without a mark, 0 for what is ready on an idle lane, 1 for what pretends to be that
  V=
  { while read -r a b c d x y; do
    [ "$b" = resident ] || continue
    case $x in *[!0-9]*) ;; *) V=$((x / 1024)) ;; esac
    break
  done <"/proc/$1/limits"; } 2>/dev/null
  [ "$V" ] && [ "$V" -ge $READY_BASE ] || return 0
  a= x= d=$((V & 1048575)) V=1
  { read -r a <"$D/lane.$d"; read -r x <"$D/pid.$d"; } 2>/dev/null
  if num "$a"; then V=$a; elif [ "$x" = "$1" ]; then V=0; fi
}

scan() { # fills P with pid:mark of every marked process
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

since() { # pid, hundredths of a second: began then or later
  l=
  { read -r l <"/proc/$1/stat"; } 2>/dev/null
  set -- "$2" $\{l##*) }
  num "$\{21-}" && [ "$\{21}" -ge "$1" ]
}

spared() { # pid mark, then all | fence | execution X | shell X, its pid, since when: not to be ended
  case $3 in
    fence) [ "$2" -ge "$B" ] && allowed $((($2 - B) >> 20)) && known "$2" || return 1 ;;
    execution) [ $(($2 & 1048575)) != "$4" ] && known "$2" || return 1 ;;
    shell) [ $(($2 & 1048575)) = "$4" ] || known "$2" || return 1
      [ $(($2 & 1048575)) != "$4" ] || [ "$1" = "$5" ] || ! since "$1" "$6" || return 1 ;;
    *) return 1 ;;
  esac
  case $seen in *" $1 "*) kill -CONT "$1" 2>/dev/null ;; esac
}

end_strays() { # as spared: stops what it names until a listing shows nothing new, then kills; C counts
  i=0 found=
  while [ $i -lt 400 ]; do
    scan; hit= fresh=
    for e in $P; do
      p=$\{e%%:*} v=$\{e#*:}
      [ "$v" = 0 ] || spared "$p" "$v" "$@" && continue
      dead "$p" && continue
      hit="$hit $p" found=1
      case $seen in *" $p "*) ;; *) fresh=1 seen="$seen$p " C=$((C + 1)); kill -STOP "$p" 2>/dev/null ;; esac
    done
    [ "$hit" ] || return 0
    [ "$fresh" ] && [ $i -lt 40 ] || kill -9 $hit 2>/dev/null
    i=$((i + 1))
    [ $i -gt 20 ] && "$NAP" 0.02 2>/dev/null
  done
  return 1
}

end_ready() { # fails when there is nothing ready; what has taken a command meanwhile goes on
  any=
  for e in $P; do
    [ "$\{e#*:}" = 0 ] || continue
    any=1 p=$\{e%%:*}
    kill -STOP "$p" 2>/dev/null
    mark_of "$p"
    if [ "$V" = 0 ]; then kill -9 "$p"; else kill -CONT "$p"; fi 2>/dev/null
  done
  [ "$any" ]
}

end() { # all | fence | execution X | shell X, its pid, since when
  C=0 seen=' ' j=0
  while end_strays "$@"; do
    [ $j = 0 ] || [ "$found" ] || return 0
    [ $j -lt 9 ] && end_ready || return 0
    j=$((j + 1))
  done
  return 1
}
stop_execution() { { : >"$D/x.$1"; } 2>/dev/null; halt "$1"; end execution "$1"; }
`;
