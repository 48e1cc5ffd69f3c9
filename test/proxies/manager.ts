/**
 * What Nginx Proxy Manager writes around the custom configuration of a proxy host, as far as it changes what is sent where
 * (NginxProxyManager/nginx-proxy-manager: docker/rootfs/etc/nginx/nginx.conf, conf.d/include/proxy.conf,
 * backend/templates/proxy_host.conf).
 */
export function proxyHost(page: string): string {
  const custom = /^```nginx\n([^]*?)^```$/m.exec(page)?.[1]
  if (custom === undefined) throw new Error('the page has no configuration')
  if (field(page, 'Websockets Support') !== '**on**') throw new Error('sockets would not open')
  const [host, port] = [field(page, 'Forward Hostname / IP'), field(page, 'Forward Port')].map(
    (value) => /`([^`]+)`/.exec(value)?.[1] ?? '',
  )
  return `
    proxy_send_timeout 90s;
    proxy_read_timeout 90s;
    client_max_body_size 2000m;
    proxy_http_version 1.1;
    proxy_set_header Accept-Encoding "";
    set_real_ip_from 10.0.0.0/8;
    set_real_ip_from 172.16.0.0/12;
    set_real_ip_from 192.168.0.0/16;
    real_ip_header X-Real-IP;
    real_ip_recursive on;
    server {
      listen 80;
      server_name romm.example.org;
      ${custom}
      location / {
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $http_connection;
        add_header X-Served-By $host;
        proxy_set_header Host $host;
        proxy_set_header X-Forwarded-Scheme $scheme;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_pass ${field(page, 'Scheme').replaceAll('`', '')}://${host}:${port}$request_uri;
      }
    }`
}

/** A row of the page's table. */
function field(page: string, name: string): string {
  const row = page.split('\n').find((line) => line.includes(`| ${name} |`))
  return row?.split('|')[3]?.trim() ?? ''
}
