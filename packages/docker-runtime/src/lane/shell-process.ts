/**
 * What becomes a command that runs in a shell: it says who it is and stops itself, until it is ended because the command has
 * ended. Its outputs are known by numbers that writing this does not take for itself. Begins a line, so that half a line of somebody else is never joined to its own. Arguments: the shell, and the command.
 */
export const shellClient = `exec 8>&1 9>&2
[ -p "/run/oct/bg.$1/in" ] && { printf '\\n%s\\n' $$ >"/run/oct/bg.$1/in"; } 2>/dev/null && while :; do kill -STOP $$; done
exit 3`;

/** Name of the environment variable that carries the program of a shell, which removes it before anything else. */
const programVariable = 'OCT_SHELL';

/**
 * What a shell is: bash where the image has it, else \`sh\`. It reads commands from one descriptor, says how they ended on
 * another, and runs each with its own outputs and an empty input. A signal that no program is sent makes it return from what it
 * runs. Everything happens in functions, so that a late signal returns from nothing else; that a command uses \`break\` or
 * \`continue\` outside of any loop does not end it either.
 */
const loop = String.raw`__oct_r=0 __oct_u=
__oct_q() { return $__oct_r; }
__oct_run() { __oct_q; command eval "$__oct_t"; }
__oct_take() {
  [ ! "$__oct_u" ] || printf '%s %s\n' "$__oct_u" "$__oct_r" >&7
  __oct_u=
  IFS=' ' read -r __oct_u __oct_p <&6 || IFS=' ' read -r __oct_u __oct_p <&6 || IFS=' ' read -r __oct_u __oct_p <&6 || exit 0
  [ "$__oct_u" != x ] || exit 0
  __oct_t= __oct_c= __oct_k=0
  while IFS= read -r __oct_l; do
    case $__oct_l in
      =*) __oct_t=$\{__oct_l#=} __oct_c= __oct_k=0 ;;
      +*) __oct_c="$__oct_c
$\{__oct_l#+}" __oct_k=$((__oct_k + 1))
        [ $__oct_k -lt 100 ] || { __oct_t=$__oct_t$__oct_c __oct_c= __oct_k=0; } ;;
      *) break ;;
    esac
  done <&6
  __oct_t=$__oct_t$__oct_c
}
trap '[ ! "$__oct_u" ] || return 130' URG
printf '%s\n' $$ >&7
while :; do
  while :; do
    __oct_take
    __oct_run </dev/null >"/proc/$__oct_p/fd/8" 2>"/proc/$__oct_p/fd/9" 6<&- 7>&-
    __oct_r=$?
  done
done`.replaceAll('$\\{', '${');

/** The process to start for a shell, and the variable that carries its program. */
export const shellProcess = {
  argv: [
    '/bin/sh',
    '-c',
    '[ ! -x /bin/bash ] || exec /bin/bash -c "$1" bash; exec /bin/sh -c "$1" sh',
    'oct-shell',
    `l=$${programVariable}; unset ${programVariable}; eval "$l"`,
  ],
  env: { [programVariable]: loop },
};
