# What nvidia-smi does on a spoofed machine. smi_shell.py writes before it what the machine is:
# all, unmasked and spaces; switch, valued, card_field, app_field, refuse (which exits) and answer;
# and before the reports say.
# It starts no program but date, and that only where the time is asked for.

# Cuts spaces (of the kinds in $2) from both ends of $1.
trim() {
  trimmed=$1
  while :; do case $trimmed in [$2]*) trimmed=${trimmed#?};; *) break;; esac; done
  while :; do case $trimmed in *[$2]) trimmed=${trimmed%?};; *) break;; esac; done
}

# --- The arguments.

while [ $# -gt 0 ]; do
  argument=$1; shift
  if switch "$argument"; then continue; fi
  option=${argument%%=*}
  case $argument in *=*) value=${argument#*=};; *) value=$1;; esac
  valued "$option" "$value" || refuse unrecognized "$argument"
  case $argument in
    *=*) ;;
    *) [ $# -gt 0 ] || refuse missing_value "$option"; shift;;
  esac
done
if [ -n "$has_format" ] && [ -z "$has_gpu$has_apps" ]; then
  refuse unrecognized "--format=$value_format"
fi
if [ -n "$want_help" ]; then answer help; exit 0; fi
if [ -n "$want_version" ]; then answer version; exit 0; fi
if [ -n "$want_fields" ]; then answer fields; exit 0; fi
if [ -n "$want_list" ] && [ -n "$has_id" ]; then refuse id_with_list; fi

# --- The cards that CUDA_VISIBLE_DEVICES leaves visible: see visibility.py.

by_number() {
  digits=${1#[+-]}; digits=${digits%%[!0-9]*}; found=
  [ -n "$digits" ] || return 1
  while :; do case $digits in 0?*) digits=${digits#0};; *) break;; esac; done
  case $1 in -*) [ "$digits" = 0 ] || return 1;; esac
  case " $all " in *" $digits "*) found=$digits;; *) return 1;; esac
}
by_uuid() {
  found=
  case $1 in GPU-*) ;; *) return 1;; esac
  for index in $all; do
    card_field "$index" uuid
    case $plain in "$1"*)
      [ -z "$found" ] || return 1
      found=$index;;
    esac
  done
  [ -n "$found" ]
}
if [ -n "$unmasked" ] || [ -z "${CUDA_VISIBLE_DEVICES+set}" ]; then seen=$all; else
  seen=; rest=$CUDA_VISIBLE_DEVICES,
  case $rest in GPU-*) find=by_uuid;; *) find=by_number;; esac
  while [ -n "$rest" ]; do
    trim "${rest%%,*}" "$spaces"; rest=${rest#*,}
    $find "$trimmed" || break
    case " $seen " in *" $found "*) seen=; break;; esac
    seen="$seen $found"
  done
fi

# --- The cards that -i chooses among them, by index, uuid or place on the bus.

matches() {
  [ "$2" != "$1" ] || return 0
  card_field "$1" uuid
  [ "$2" != "$plain" ] || return 0
  card_field "$1" pci.bus_id
  case $2 in "$plain"|"${plain#????}"|"${plain#*:}") ;; *) return 1;; esac
}
named=
if [ -n "$has_id" ]; then
  rest=$value_id,
  while [ -n "$rest" ]; do
    one=${rest%%,*}; rest=${rest#*,}; hit=
    for index in $seen; do
      if matches "$index" "$one"; then named="$named $index"; hit=1; fi
    done
    [ -n "$hit" ] || refuse no_devices
  done
else named=$seen; fi
chosen=; count=0
for index in $all; do
  case " $named " in *" $index "*) chosen="$chosen $index"; count=$((count + 1));; esac
done
[ -n "$chosen" ] || refuse no_devices

# --- Queries that answer as csv.

formats() {
  [ -n "$has_format" ] || value_format=csv
  rest=$value_format, csv= header=1 units=1
  while [ -n "$rest" ]; do
    trim "${rest%%,*}" ' '; rest=${rest#*,}
    case $trimmed in csv) csv=1;; noheader) header=;; nounits) units=;; '') ;;
      *) refuse unknown_format;;
    esac
  done
  [ -n "$csv" ] || refuse unknown_format
}
stamp=
field() {
  case $2 in
    timestamp)
      [ -n "$stamp" ] || stamp=$(date '+%Y/%m/%d %H:%M:%S.000')
      column=timestamp full=$stamp plain=$stamp;;
    count) column=count full=$count plain=$count;;
    *) card_field "$1" "$2";;
  esac
}
if [ -n "$has_gpu" ]; then
  formats
  rows=; columns=
  for index in $chosen; do
    rest=$value_gpu, row= columns=
    while [ -n "$rest" ]; do
      trim "${rest%%,*}" ' '; rest=${rest#*,}
      [ -n "$trimmed" ] || continue
      field "$index" "$trimmed" || refuse unknown_field "$trimmed"
      if [ -n "$units" ]; then plain=$full; fi
      row="$row, $plain" columns="$columns, $column"
    done
    rows="$rows${row#, }
"
  done
  if [ -n "$header" ]; then printf '%s\n' "${columns#, }"; fi
  printf %s "$rows"
  exit 0
fi
if [ -n "$has_apps" ]; then
  formats
  rest=$value_apps, columns=
  while [ -n "$rest" ]; do
    trim "${rest%%,*}" ' '; rest=${rest#*,}
    [ -n "$trimmed" ] || continue
    app_field "$trimmed" || refuse unknown_field "$trimmed"
    columns="$columns, $column"
  done
  if [ -n "$header" ]; then printf '%s\n' "${columns#, }"; fi
  exit 0
fi

# --- Reports.

if [ -n "$want_topo" ]; then
  for index in $chosen; do printf '\tGPU%s' "$index"; done
  say topology_columns
  for index in $chosen; do
    printf 'GPU%s' "$index"
    for other in $chosen; do
      if [ "$other" = "$index" ]; then printf '\t X '; else printf '\tPHB'; fi
    done
    say topology_values
  done
  say topology_foot
  exit 0
fi
if [ -n "$want_list" ]; then
  for index in $chosen; do say "list:$index"; done
  exit 0
fi
report=table
if [ -n "$want_query" ]; then report=query; fi
if [ -n "$want_query" ] && [ -n "$want_xml" ]; then report=xml; fi
now=$(LC_ALL=C date '+%a %b %e %H:%M:%S %Y')
say "${report}_head"
for index in $chosen; do say "$report:$index"; done
say "${report}_foot"
