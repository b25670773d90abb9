_ff_observe() {
  local current="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" path="" word
  COMPREPLY=()
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$path $word" in ' run'|' demo'|' check'|' health'|' doctor'|' egress'|' database'|' database grants'|' ping'|' ping show'|' ping why'|' ping send'|' ping export'|' ping receipt'|' ping log'|' metrics'|' history'|' collector'|' collector run'|' collector export'|' collector forget'|' collector key'|' collector verify'|' fleet'|' fleet adoption'|' fleet upgrades'|' fleet cohorts'|' fleet crosstab'|' fleet histogram'|' fleet silent'|' fleet missing-days'|' fleet quality'|' fleet history'|' frontend'|' frontend render'|' frontend csp'|' sentry'|' sentry test'|' sentry sourcemaps'|' assets'|' completion') path="$path $word" ;; esac
  done
  case "$before" in
    --home) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$current")); return ;;
    --config) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$current")); return ;;
    --overlay) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$current")); return ;;
    --set) compopt -o nospace 2>/dev/null; COMPREPLY=($(compgen -W "telemetry.enabled= telemetry.ledger= telemetry.ledger_required= telemetry.ping.receipts= telemetry.database.ca_file= telemetry.database.accept_any_certificate= telemetry.ping.sender= telemetry.platform.version= telemetry.platform.nodejs_version= telemetry.backend.sentry.budget.per_minute= telemetry.backend.sentry.budget.per_day= telemetry.backend.sentry.monitor= telemetry.backend.prometheus.enabled= telemetry.backend.prometheus.bridge_enabled= telemetry.backend.prometheus.probe_url= telemetry.backend.prometheus.host= telemetry.backend.prometheus.port= telemetry.backend.prometheus.path= telemetry.backend.prometheus.allowed_hosts= telemetry.backend.prometheus.web_config_file= telemetry.backend.prometheus.bearer_token_file= telemetry.backend.prometheus.allow_public= telemetry.backend.otlp.enabled= telemetry.backend.otlp.protocol= telemetry.backend.otlp.compression= telemetry.backend.otlp.certificate= telemetry.backend.otlp.interval= telemetry.backend.otlp.timeout= telemetry.backend.otlp.traces= telemetry.backend.otlp.logs= telemetry.frontend.consent= telemetry.frontend.posthog.apikey= telemetry.frontend.posthog.apiurl= telemetry.frontend.posthog.capture_pageview= telemetry.frontend.posthog.cookieless_mode= telemetry.frontend.sentry.dsn= telemetry.frontend.sentry.production_mode= telemetry.frontend.plausible.domain= telemetry.plausible.domain= db.type= db.storage= db.host= db.port= db.user= db.database= db.ssl=" -- "$current")); return ;;
    --log-format) COMPREPLY=($(compgen -W "text json" -- "$current")); return ;;
    --log-level) COMPREPLY=($(compgen -W "debug info warning error" -- "$current")); return ;;
    --platforms) :; return ;;
    --port) :; return ;;
    --collector-port) :; return ;;
    --directory) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$current")); return ;;
    --url) :; return ;;
    --prometheus) :; return ;;
    --network-policy) COMPREPLY=($(compgen -W "kubernetes cilium" -- "$current")); return ;;
    --role) :; return ;;
    --at) :; return ;;
    --from) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$current")); return ;;
    --receipt) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$current")); return ;;
    --ledger-key) :; return ;;
    --prove) :; return ;;
    --against) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$current")); return ;;
    --file) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$current")); return ;;
    --collector-key) :; return ;;
    --format) COMPREPLY=($(compgen -W "text openmetrics json parquet csv html" -- "$current")); return ;;
    -o|--output) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$current")); return ;;
    --since) :; return ;;
    --until) :; return ;;
    --step) :; return ;;
    --label) :; return ;;
    --settings) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$current")); return ;;
    --database) :; return ;;
    --database-file) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$current")); return ;;
    --data-dir) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$current")); return ;;
    --listen) :; return ;;
    --to) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$current")); return ;;
    --key) :; return ;;
    --of) :; return ;;
    --merge) :; return ;;
    --release) :; return ;;
    --copy) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  case "$path" in
    "") COMPREPLY=($(compgen -W "run demo check health doctor egress database ping metrics history collector fleet frontend sentry assets completion -h --help --version --home --config --overlay --set --log-format --log-level" -- "$current")) ;;
    ' run') COMPREPLY=($(compgen -W "-h --help --home --config --overlay --set --log-format --log-level --platforms" -- "$current")) ;;
    ' demo') COMPREPLY=($(compgen -W "-h --help --log-format --log-level --port --collector-port --directory" -- "$current")) ;;
    ' check') COMPREPLY=($(compgen -W "-h --help --home --config --overlay --set --log-format --log-level --platforms --offline --effective --json" -- "$current")) ;;
    ' health') COMPREPLY=($(compgen -W "-h --help --home --config --overlay --set --log-format --log-level --ready --url" -- "$current")) ;;
    ' doctor') COMPREPLY=($(compgen -W "-h --help --home --config --overlay --set --log-format --log-level --json --network --prometheus" -- "$current")) ;;
    ' egress') COMPREPLY=($(compgen -W "-h --help --home --config --overlay --set --log-format --log-level --json --hosts --network-policy --resolve" -- "$current")) ;;
    ' database') COMPREPLY=($(compgen -W "grants -h --help --home --config --overlay --set --log-format --log-level" -- "$current")) ;;
    ' database grants') COMPREPLY=($(compgen -W "-h --help --home --config --overlay --set --log-format --log-level --role --offline" -- "$current")) ;;
    ' ping') COMPREPLY=($(compgen -W "show why send export receipt log -h --help --home --config --overlay --set --log-format --log-level" -- "$current")) ;;
    ' ping show') COMPREPLY=($(compgen -W "-h --help --home --config --overlay --set --log-format --log-level --at --explain --diff" -- "$current")) ;;
    ' ping why') COMPREPLY=($(compgen -W "-h --help --home --config --overlay --set --log-format --log-level --json" -- "$current")) ;;
    ' ping send') COMPREPLY=($(compgen -W "-h --help --home --config --overlay --set --log-format --log-level --from --receipt --ledger-key" -- "$current")) ;;
    ' ping export') COMPREPLY=($(compgen -f -W "-h --help --home --config --overlay --set --log-format --log-level" -- "$current")) ;;
    ' ping receipt') COMPREPLY=($(compgen -f -W "-h --help --home --config --overlay --set --log-format --log-level" -- "$current")) ;;
    ' ping log') COMPREPLY=($(compgen -W "-h --help --home --config --overlay --set --log-format --log-level --verify --json --prove --checkpoint --against --file --collector-key" -- "$current")) ;;
    ' metrics') COMPREPLY=($(compgen -W "-h --help --home --config --overlay --set --log-format --log-level --format -o --output --at" -- "$current")) ;;
    ' history') COMPREPLY=($(compgen -W "-h --help --home --config --overlay --set --log-format --log-level --since --until --step --every-event --label -o --output" -- "$current")) ;;
    ' collector') COMPREPLY=($(compgen -W "run export forget key verify -h --help --log-format --log-level" -- "$current")) ;;
    ' collector run') COMPREPLY=($(compgen -W "-h --help --log-format --log-level --settings --database --database-file --data-dir --listen" -- "$current")) ;;
    ' collector export') COMPREPLY=($(compgen -W "-h --help --log-format --log-level --settings --database --database-file --data-dir --format --to --since --sender-hashes" -- "$current")) ;;
    ' collector forget') COMPREPLY=($(compgen -W "-h --help --log-format --log-level --settings --database --database-file --data-dir" -- "$current")) ;;
    ' collector key') COMPREPLY=($(compgen -W "-h --help --log-format --log-level --settings --database --database-file --data-dir --make --releases --rewrap" -- "$current")) ;;
    ' collector verify') COMPREPLY=($(compgen -f -W "-h --help --log-format --log-level --key" -- "$current")) ;;
    ' fleet') COMPREPLY=($(compgen -W "adoption upgrades cohorts crosstab histogram silent missing-days quality history -h --help --log-format --log-level" -- "$current")) ;;
    ' fleet adoption') COMPREPLY=($(compgen -W "-h --help --log-format --log-level --since --format -o --output --settings --database --database-file --data-dir --of" -- "$current")) ;;
    ' fleet upgrades') COMPREPLY=($(compgen -W "-h --help --log-format --log-level --since --format -o --output --settings --database --database-file --data-dir" -- "$current")) ;;
    ' fleet cohorts') COMPREPLY=($(compgen -W "-h --help --log-format --log-level --since --format -o --output --settings --database --database-file --data-dir" -- "$current")) ;;
    ' fleet crosstab') COMPREPLY=($(compgen -W "-h --help --log-format --log-level --format -o --output --settings --database --database-file --data-dir" -- "$current")) ;;
    ' fleet histogram') COMPREPLY=($(compgen -W "-h --help --log-format --log-level --since --format -o --output --settings --database --database-file --data-dir" -- "$current")) ;;
    ' fleet silent') COMPREPLY=($(compgen -W "-h --help --log-format --log-level --since --format -o --output --settings --database --database-file --data-dir" -- "$current")) ;;
    ' fleet missing-days') COMPREPLY=($(compgen -W "-h --help --log-format --log-level --since --format -o --output --settings --database --database-file --data-dir" -- "$current")) ;;
    ' fleet quality') COMPREPLY=($(compgen -W "-h --help --log-format --log-level --since --format -o --output --settings --database --database-file --data-dir" -- "$current")) ;;
    ' fleet history') COMPREPLY=($(compgen -W "-h --help --log-format --log-level --since --label -o --output --settings --database --database-file --data-dir" -- "$current")) ;;
    ' frontend') COMPREPLY=($(compgen -W "render csp -h --help --home --config --overlay --set --log-format --log-level" -- "$current")) ;;
    ' frontend render') COMPREPLY=($(compgen -f -W "-h --help --home --config --overlay --set --log-format --log-level -o --output" -- "$current")) ;;
    ' frontend csp') COMPREPLY=($(compgen -W "-h --help --home --config --overlay --set --log-format --log-level --merge" -- "$current")) ;;
    ' sentry') COMPREPLY=($(compgen -W "test sourcemaps -h --help --home --config --overlay --set --log-format --log-level" -- "$current")) ;;
    ' sentry test') COMPREPLY=($(compgen -W "-h --help --home --config --overlay --set --log-format --log-level" -- "$current")) ;;
    ' sentry sourcemaps') COMPREPLY=($(compgen -f -W "-h --help --home --config --overlay --set --log-format --log-level --release --dry-run" -- "$current")) ;;
    ' assets') COMPREPLY=($(compgen -W "dashboards dashboards-v2 rules compose helm kubernetes systemd patroni haproxy completion man -h --help --log-format --log-level --copy" -- "$current")) ;;
    ' completion') COMPREPLY=($(compgen -W "bash zsh fish -h --help --log-format --log-level" -- "$current")) ;;
  esac
}
complete -F _ff_observe ff-observe
