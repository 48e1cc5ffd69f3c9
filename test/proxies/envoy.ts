import { parse } from 'yaml'
import { type Asking, handshake, hopless, type Imitation, over, valuesOf, without } from './imitation.ts'

interface Authorization {
  readonly failure_mode_allow: boolean
  readonly status_on_error: { readonly code: string }
  readonly allowed_headers: {
    readonly patterns: readonly { readonly safe_regex: { readonly regex: string } }[]
  }
  readonly http_service: {
    readonly server_uri: { readonly timeout: string }
    readonly authorization_response: {
      readonly allowed_upstream_headers: { readonly patterns: readonly { readonly exact: string }[] }
    }
  }
}

/** What of the HTTP connection manager is imitated. */
interface Manager {
  readonly use_remote_address: boolean
  readonly merge_slashes?: boolean
  readonly normalize_path?: boolean
  readonly common_http_protocol_options: { readonly headers_with_underscores_action: string }
  readonly http_filters: readonly { readonly name: string; readonly typed_config: unknown }[]
  readonly route_config: {
    readonly virtual_hosts: readonly [
      {
        readonly request_headers_to_add: readonly {
          readonly header: { readonly key: string; readonly value: string }
        }[]
        readonly request_headers_to_remove?: readonly string[]
      },
    ]
  }
}

interface File {
  readonly static_resources: {
    readonly listeners: readonly [
      {
        readonly filter_chains: readonly [{ readonly filters: readonly [{ readonly typed_config: Manager }] }]
      },
    ]
  }
}

const STATUSES: Readonly<Record<string, number>> = { ServiceUnavailable: 503 }

export function envoy(recipe: string): Imitation {
  const file = parse(recipe) as File
  const manager = file.static_resources.listeners[0].filter_chains[0].filters[0].typed_config
  const { use_remote_address, merge_slashes, normalize_path, common_http_protocol_options: options } = manager
  if (!use_remote_address || merge_slashes === true || normalize_path === true)
    throw new Error('not an edge proxy, or one that rewrites paths')
  if (options.headers_with_underscores_action !== 'DROP_HEADER') throw new Error('other names would pass')
  const [host] = manager.route_config.virtual_hosts
  const added = host.request_headers_to_add.map(({ header }) => header)
  const filter = manager.http_filters.find(({ name }) => name === 'envoy.filters.http.ext_authz')
  return {
    // source/common/http/conn_manager_utility.cc; at the edge X-Forwarded-For is appended to.
    takes(arriving) {
      const { headers, client, isHandshake } = arriving
      const theirs = headers.filter(
        (_, i) =>
          i % 2 === 0 && /_|^x-envoy-(?:internal|external-address|expected|upstream)/i.test(headers[i] ?? ''),
      )
      const edge = over({
        'x-forwarded-for': [...valuesOf(headers, 'x-forwarded-for'), client].join(','),
        'x-forwarded-proto': 'http',
        'x-request-id': '6d0b1e4a-4a7e-4b5c-8f2e-0f6a2a1c9d11',
        'x-envoy-internal': 'true',
      })
      return { ...arriving, headers: handshake(isHandshake)(edge(without(...theirs)(hopless(headers)))) }
    },
    sends: (taken, { client }) => {
      const fields = added.map(({ key, value }) => [
        key,
        value === '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%' ? client : value,
      ])
      const headers = over(Object.fromEntries(fields) as Record<string, string>)(taken.headers)
      return { ...taken, headers: without(...(host.request_headers_to_remove ?? []))(headers) }
    },
    ...(filter && { asks: asking(filter.typed_config as Authorization) }),
  }
}

/** source/extensions/filters/common/ext_authz/ext_authz_http_impl.cc, and the asynchronous client that it sends with. */
function asking(options: Authorization): Asking {
  const { failure_mode_allow, status_on_error, allowed_headers, http_service: service } = options
  const [everything] = allowed_headers.patterns
  if (failure_mode_allow || everything?.safe_regex.regex !== '.*')
    throw new Error('it would let through what nobody saw')
  const error = { status: STATUSES[status_on_error.code] ?? 403, headers: [], body: Buffer.alloc(0) }
  return {
    question: ({ method, target, headers }) => ({
      method,
      target,
      headers: over({
        'content-length': '0',
        // Its own address, as it knows it.
        'x-forwarded-for': `${valuesOf(headers, 'x-forwarded-for')[0] ?? ''},127.0.0.1`,
        'x-envoy-expected-rq-timeout-ms': String(Number.parseInt(service.server_uri.timeout, 10) * 1_000),
      })(without('Transfer-Encoding')(headers)),
    }),
    copies: service.authorization_response.allowed_upstream_headers.patterns.map(({ exact }) => exact),
    // No status of 5xx reaches a client, and no body of one.
    refuses: (answer) => (answer === undefined || answer.status >= 500 ? error : answer),
  }
}
