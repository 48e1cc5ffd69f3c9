/** The least that refuses: node:http, with an answer as long as the gateway's. */
import { serve } from './serve.ts'

const body = JSON.stringify({ detail: 'Not authenticated', reason: 'no_credential', required: ['roms.read'] })
const headers = [
  ...['Content-Type', 'application/json', 'Content-Length', String(Buffer.byteLength(body))],
  ...['WWW-Authenticate', 'Bearer', 'Cache-Control', 'no-store', 'Vary', 'Authorization, Cookie'],
]

serve((req, res) => {
  req.resume()
  res.writeHead(401, headers).end(body)
})
