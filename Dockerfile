# Postern's image, for amd64 and arm64: docker build -t postern:0.1.0 .
#
# It runs as user 1000 and its root file system may be read-only: all that it writes is below /var/lib/postern/data, the
# working directory's ./data of the configuration, which is a volume:
#   keys             signing keys; replicas share this folder
#   openapi          the last good copy of the backend's document, for a start while the backend is away
#   postern.sqlite   people and tokens of the profile `standalone`
# It is configured by variables or by /etc/postern/postern.yaml. Whoever moves listen.probes gives a health check of their own.
#
# test/deploy/image.test.ts runs these steps, the command and the health check in a folder that is read-only but for the
# volume. Not tried there: an engine, the base image, arm64.

FROM --platform=$BUILDPLATFORM node:26.10.0-trixie-slim AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build && chmod 755 dist/main.js

FROM node:26.10.0-trixie-slim AS modules
WORKDIR /modules
COPY package.json package-lock.json .npmrc ./
# Optional packages stay, since bcrypt's binary is one; of them the Node that a checkout brings goes: the image has its own.
RUN npm ci --omit=dev --ignore-scripts \
 && rm -rf node_modules/node-* node_modules/.bin

FROM node:26.10.0-trixie-slim
WORKDIR /opt/postern
COPY package.json LICENSE ./
COPY config ./config
COPY --from=modules /modules/node_modules ./node_modules
COPY --from=build /build/dist ./dist
WORKDIR /var/lib/postern
RUN mkdir -m 700 data \
 && chown 1000:1000 data \
 && ln -s /opt/postern/dist/main.js /usr/local/bin/postern
ENV NODE_ENV=production
USER 1000:1000
VOLUME /var/lib/postern/data
EXPOSE 8090 8091
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:8091/readyz').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["postern"]
CMD ["serve"]
