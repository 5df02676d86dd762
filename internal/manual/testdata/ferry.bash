# Completion of ferry for bash.

_ferry() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command= word i
	# bash takes --option=value for three words.
	if [[ $cur == = ]]; then
		cur=
	elif [[ $prev == = ]]; then
		prev=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	for ((i = 1; i < COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		case $word in
		-l | --load | --cargo | --order | --list | --at | --dock | -r | --rope)
			[[ ${COMP_WORDS[i + 1]} != = ]] || ((i++))
			((i++))
			;;
		-*) ;;
		*)
			command=$word
			break
			;;
		esac
	done
	COMPREPLY=()
	case $prev in
	--order)
		mapfile -t COMPREPLY < <(compgen -W 'first last' -- "$cur")
		return
		;;
	--list)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--dock)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -d -- "$cur")
		return
		;;
	-l | --load | --cargo | --order | --list | --at | --dock | -r | --rope) return ;;
	esac
	if [[ $cur != -* ]]; then
		[[ -n $command ]] || mapfile -t COMPREPLY < <(compgen -W 'moor sink' -- "$cur")
		return
	fi
	case $command in
	sink) mapfile -t COMPREPLY < <(compgen -W '-h --help' -- "$cur") ;;
	moor) mapfile -t COMPREPLY < <(compgen -W '-r --rope -v --verbose -h --help' -- "$cur") ;;
	*) mapfile -t COMPREPLY < <(compgen -W '-l --load --cargo --order --list --at --dock -v --verbose -h --help' -- "$cur") ;;
	esac
}

complete -F _ferry ferry
