# Completion of ferry for fish.

complete -c ferry -f
complete -c ferry -n 'not __fish_seen_subcommand_from moor sink' -a moor -d 'stay where it is; carries nothing'
complete -c ferry -n 'not __fish_seen_subcommand_from moor sink' -a sink -d 'end it'
complete -c ferry -n 'not __fish_seen_subcommand_from moor sink' -l load -s l -l cargo -x -d 'carry `N` things'
complete -c ferry -n 'not __fish_seen_subcommand_from moor sink' -l order -x -a 'first last' -d 'who goes first'
complete -c ferry -n 'not __fish_seen_subcommand_from moor sink' -l list -r -F -d 'what to carry, from a FILE'
complete -c ferry -n 'not __fish_seen_subcommand_from moor sink' -l at -x -d 'when'
complete -c ferry -n 'not __fish_seen_subcommand_from moor sink' -l dock -x -a '(__fish_complete_directories)' -d 'where C:\ is not'
complete -c ferry -n 'not __fish_seen_subcommand_from sink' -l verbose -s v -d 'say what'\''s [really] going on: all of it'
complete -c ferry -l help -s h -d 'show this help'
complete -c ferry -n '__fish_seen_subcommand_from moor' -l rope -s r -x -d 'of the rope'
