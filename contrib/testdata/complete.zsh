# zsh -f complete.zsh LINE: what zsh offers where TAB is hit behind LINE, one offer a line. A shell in a terminal of its
# own completes, since nothing else can, and tells of all that it is offered.
zmodload zsh/zpty || exit
zpty shell zsh -f -i
zpty -w shell 'stty -echo; PS1=; PROMPT_EOL_MARK='
zpty -w shell 'autoload -Uz compinit && compinit -u -D'
zpty -w shell 'compadd() {
	local -a offered
	if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
		builtin compadd "$@"
		return
	fi
	builtin compadd -A offered "$@"
	(( $#offered )) && print -rl -- OFFER=${^offered}
	builtin compadd "$@"
}'
zpty -w shell 'offers() { _main_complete; print -r END''OFFERS }; zle -C offers list-choices offers; bindkey "^I" offers; print -r REA''DY'
zpty -r shell said '*READY*'
zpty -w -n shell "$1"$'\t'
zpty -r shell said '*ENDOFFERS*'
print -r -- "$said" | tr -d '\r' | sed -n 's/^.*OFFER=//p' | sort -u
zpty -d shell
