/** The least that refuses: node:http, with an answer as long as the gateway's. */
import { serve } from './serve.ts'

const id = '00000000-0000-4000-8000-000000000000'
const hint = 'Sign in, or send the credential with this very request.'
const body = JSON.stringify({ detail: 'Not authenticated', reason: 'no_credential', hint, request_id: id })
const headers = [
  ...['Content-Type', 'application/json', 'Content-Length', String(Buffer.byteLength(body))],
  ...['Cache-Control', 'no-store', 'Vary', 'Authorization, Cookie', 'X-Request-Id', id],
  ...['Postern-Reason', 'no_credential', 'WWW-Authenticate', 'Bearer'],
]

serve((req, res) => {
  req.resume()
  res.writeHead(401, headers).end(body)
})
