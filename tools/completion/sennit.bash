# Completion of sennit for bash: commands, then the options that the command's own --help lists, and files.
_sennit() {
  local word=${COMP_WORDS[COMP_CWORD]} commands="serve up deploy apply services revisions logs traffic rollback schema bill token new load"
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "$commands help --help --version" -- "$word"))
  elif [ "${COMP_WORDS[1]}" = help ]; then
    COMPREPLY=($(compgen -W "$commands" -- "$word"))
  elif [[ $word == -* ]]; then
    COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" "${COMP_WORDS[1]}" --help 2>/dev/null | sed -nE 's/^ +(-.,? )?(--[a-z][a-z-]*).*/\2/p')" -- "$word"))
  else
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}
complete -o filenames -F _sennit sennit
