/**
 * The part of the supervisor that hears all the time, also while a command runs. It writes what is asked into a file that only root
 * can read, and hands everything else of a command to what becomes it, through a pipe:
 *
 * - for a command, `r`, token and mark, its fields, and a dot when the request came whole;
 * - for anything else `q`, by which what is ready leaves;
 * - and `~`, which tells the runner whether everything before it was taken.
 *
 * The lane's note of a command is written before the dot: what is ready counts as that command from then on.
 */
export const readerProgram = String.raw`asked() { printf '%s\n' "$1" "$O0" "$k0" >"$A"; }

stirred() { # what is ready may have been stopped by some command: then it goes, and the request comes again
  a= l=
  { read -r a <"$P1" && IFS= read -r l <"/proc/$a/stat"; } 2>/dev/null
  case $\{l##*) } in T*|t*) kill -9 "$a" 2>/dev/null ;; esac
}

pass() { # run nonce token mark flags: hands the rest of a request to what becomes the command; what is cut off never does
  hex "$2" && nums "$3" "$4" || return 1
  n=$2 verdict= O0= k0= ask=
  allowed "$3" || verdict=refused
  [ "$HOW" != none ] || verdict=no-user
  if [ "$verdict" ]; then
    while IFS= read -r l; do [ "$l" = ".$n" ] && { asked "$verdict $n"; printf 'q\n~\n'; return 0; }; done
    return 1
  fi
  before
  asked "$*"
  stirred
  if [ "$5" = i ]; then printf 'q\n~\n'; else printf 'r\n'; fi
  printf '%s %s\n' "$3" "$4"
  case $5 in s[0-9]*)
    ask=$Q/ask.$(($4 & 1048575))
    umask 077
    printf '%s\n' "$\{5#s}" >"$ask"
    umask 022 ;;
  esac
  while IFS= read -r l; do
    case $l in
      [=+]*) printf '%s\n' "$l"
        [ ! "$ask" ] || printf '%s\n' "$l" >>"$ask" ;;
      ".$n") m=$4; printf '%s\n' "$m" >"$L"; printf '.\n~\n'; return 0 ;;
      *) return 1 ;;
    esac
  done
  return 1
}

reader() { # passes whole requests on and stays able to hear while a command runs
  read -r me r </proc/self/stat && printf '%s\n' "$me" >"$R"
  exec 4<&-
  m=
  while IFS= read -r l; do
    set -- $l
    case $1 in
      end) num "$2" && stop_execution "$2" ;;
      run) pass "$@" || break
        [ "$5" = i ] && { : >"$R"; return 0; } ;;
      hello|init|fence|cut|all|admit|look|pull|signal|eof|forget)
        hex "$2" || break
        shift 2
        nums "$@" || break
        O0= k0=
        asked "$l"
        printf 'q\n~\n' ;;
      *) break ;;
    esac
  done
  : >"$Z"
  exec >&-
  a=done
  { read -r a <"$L"; } 2>/dev/null
  [ "$a" = done ] || stop_execution $((m & 1048575))
}`;
