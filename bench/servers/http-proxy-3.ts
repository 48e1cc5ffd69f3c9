/** The successor of http-proxy, with the keep-alive agent that it does not bring by itself. */
import { Agent } from 'node:http'
import { createProxyServer } from 'http-proxy-3'
import { serve, upstreamUrl } from './serve.ts'

const proxy = createProxyServer({ target: upstreamUrl(), agent: new Agent({ keepAlive: true }) })
proxy.on('error', (error) => console.error(error))

serve((req, res) => proxy.web(req, res))
