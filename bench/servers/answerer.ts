/** The service of a proxy that asks: it permits everything and looks at nothing. */
import { serve } from './serve.ts'

serve((req, res) => {
  req.resume()
  res.writeHead(200, ['Content-Length', '0', 'X-Forwarded-User', 'vera']).end()
})
