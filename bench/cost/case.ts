/** One thing that is measured: a server, and the requests that it is sent. */
export interface Case {
  readonly name: string
  /** A file of bench/servers without its ending, or a proxy of Debian's packages. */
  readonly server: ServerName
  /** Arguments of the server; two cases with the same ones share its process. */
  readonly args?: readonly string[]
  /** What answers the questions of a proxy that asks; its time counts as the proxy's. */
  readonly asks?: 'answerer' | 'gateway'
  readonly path?: string
  /** Of the credential, in place of the client token that the load presents otherwise. */
  readonly headers?: Readonly<Record<string, string>>
  /** As many client tokens in turn. */
  readonly tokens?: number
  /** The answers that are no errors; 200 unless told. */
  readonly status?: number
}

export type ServerName = NodeServer | ProxyName
export type NodeServer =
  'gateway' | 'unchecked' | 'forwarder' | 'reply-from' | 'bare' | 'http-proxy-3' | 'refusal' | 'answerer'
export type ProxyName = 'nginx' | 'nginx-auth' | 'nginx-postern' | 'caddy' | 'caddy-auth' | 'haproxy'

/** A ratio that is to be reached: of processor time, or of instructions where the machine counts them. */
export interface Goal {
  readonly what: string
  readonly of: string
  readonly to: string
  readonly atMost: number
}
