'use strict';
// Asks the gateway as a client would that shares no code with it: node converse.js HOST:PORT PROTO_ROOT PICTURE QUESTION...
// The first question carries the picture. Prints one JSON object a turn.

const fs = require('fs');
const path = require('path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [address, protoRoot, picture, ...questions] = process.argv.slice(2);
const definition = loader.loadSync(path.join('flowmm', 'inference', 'v1', 'inference.proto'), {
  includeDirs: [protoRoot], keepCase: true, enums: String, longs: Number, oneofs: true, defaults: true,
});
const { InferenceService } = grpc.loadPackageDefinition(definition).flowmm.inference.v1;
const client = new InferenceService(address, grpc.credentials.createInsecure());

const unary = (method, request) => new Promise((resolve, reject) =>
  client[method](request, (error, response) => (error ? reject(error) : resolve(response))));

async function ask(session, parts) {
  let text = '';
  let turn;
  for await (const event of client.Generate({ session_id: session, parts })) {
    if (event.delta) {
      if (event.delta.offset !== text.length) {
        throw new Error(`delta at ${event.delta.offset}, expected ${text.length}`);
      }
      text += event.delta.text;
    }
    turn = event.finished ? event.finished.turn : turn;
  }
  return { streamed: text, turn };
}

async function main() {
  const { session } = await unary('CreateSession', {});
  for (const [i, question] of questions.entries()) {
    const image = i === 0 ? [{ image: { data: fs.readFileSync(picture) } }] : [];
    console.log(JSON.stringify(await ask(session.session_id, [...image, { text: question }])));
  }
}

main().then(() => client.close(), (error) => {
  console.error(error.message);
  process.exitCode = 1;
});
