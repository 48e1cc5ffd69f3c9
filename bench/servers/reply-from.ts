/** What a Node gateway is usually built from: fastify with @fastify/reply-from. */
import replyFrom from '@fastify/reply-from'
import { fastify } from 'fastify'
import type { AddressInfo } from 'node:net'
import { upstreamUrl } from './serve.ts'

const app = fastify()
// Uploads pass as they come.
app.removeAllContentTypeParsers()
app.addContentTypeParser('*', (_request, payload, done) => done(null, payload))
await app.register(replyFrom, { base: upstreamUrl() })
app.all('/*', (request, reply) => reply.from(request.url))
await app.listen({ port: 0, host: '127.0.0.1' })
console.log((app.server.address() as AddressInfo).port)
