import express from 'express'
import { createVerifier, isOutage } from './verify.mjs'

const verify = createVerifier({
  jwks: process.env.POSTERN_JWKS ?? 'http://postern:8090/.well-known/postern/jwks.json',
  issuer: 'postern',
  audience: 'backend',
})
const app = express()

// Before every route: without a good assertion nothing below is reached.
app.use(async (request, response, next) => {
  try {
    request.user = await verify(request.get('x-postern-assertion') ?? '')
  } catch (error) {
    // 401 is for what was checked and found bad: apps sign their users out on it.
    response.status(isOutage(error) ? 503 : 401).json({ detail: 'Who is asking could not be established.' })
    return
  }
  next()
})

app.get('/whoami', (request, response) => void response.json(request.user))

const server = app.listen(Number(process.env.PORT ?? 8080), process.env.HOST, () =>
  console.log('listening', server.address()),
)
