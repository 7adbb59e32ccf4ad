// Starts the Portkey gateway as its documentation does for production, on a free port of the
// loopback interface (by itself it binds every interface), and prints its address as the first line.
import net from 'node:net';

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (_port, ...rest) {
  this.once('listening', () => {
    write.call(process.stdout, `listening on http://127.0.0.1:${this.address().port}\n`);
  });
  return listen.call(this, 0, '127.0.0.1', ...rest.filter((it) => typeof it === 'function'));
};
// Nobody reads its banner, and it would come before the address.
const { write } = process.stdout;
process.stdout.write = () => true;
process.env.NODE_ENV = 'production';
process.argv.push('--headless');
await import('./node_modules/@portkey-ai/gateway/build/start-server.js');
