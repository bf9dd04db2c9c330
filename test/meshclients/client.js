// Makes the calls that it reads, a line of JSON each, as a proxyless client, and writes what came of them in the same way.
'use strict';

const readline = require('node:readline');
const grpc = require('@grpc/grpc-js');
require('@grpc/grpc-js-xds').register();

const callTimeout = 60_000; // milliseconds

// Messages are bytes.
const same = (message) => message;

function call(client, request) {
  const metadata = new grpc.Metadata();
  for (const [name, value] of request.metadata) {
    metadata.add(name, value);
  }
  const options = { deadline: Date.now() + callTimeout };
  return new Promise((resolve) => {
    client.makeUnaryRequest(request.method, same, same, Buffer.alloc(0), metadata, options, (error, message) => {
      resolve(error ? { code: grpc.status[error.code], message: error.details } : { backend: message.toString() });
    });
  });
}

async function main() {
  const clients = new Map();
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    if (!clients.has(request.host)) {
      clients.set(request.host, new grpc.Client(`xds:///${request.host}`, grpc.credentials.createInsecure()));
    }
    console.log(JSON.stringify(await call(clients.get(request.host), request)));
  }
  for (const client of clients.values()) {
    client.close();
  }
}

main();
