/** The backend of every case: a small JSON answer, as most of an app's requests get. */
import { serve } from './serve.ts'

const body = JSON.stringify({ id: 1, name: 'A game', files: Array.from({ length: 8 }, (_, id) => ({ id })) })
const headers = ['Content-Type', 'application/json', 'Content-Length', String(Buffer.byteLength(body))]

serve((req, res) => {
  req.resume()
  res.writeHead(200, headers).end(body)
})
