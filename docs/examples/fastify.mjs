import fastify from 'fastify'
import { createVerifier, isOutage } from './verify.mjs'

const verify = createVerifier({
  jwks: process.env.POSTERN_JWKS ?? 'http://postern:8090/.well-known/postern/jwks.json',
  issuer: 'postern',
  audience: 'backend',
})
const app = fastify()

// On the root instance: every route has it, unknown ones too.
app.decorateRequest('user', null)
app.addHook('onRequest', async (request, reply) => {
  try {
    request.user = await verify(String(request.headers['x-postern-assertion'] ?? ''))
  } catch (error) {
    // 401 is for what was checked and found bad: apps sign their users out on it.
    reply.code(isOutage(error) ? 503 : 401).send({ detail: 'Who is asking could not be established.' })
    return reply
  }
})

app.get('/whoami', (request) => request.user)

const address = await app.listen({
  port: Number(process.env.PORT ?? 8080),
  host: process.env.HOST ?? '0.0.0.0',
})
console.log('listening', address)
