/** The nginx in front of nodes: each request goes to the next one, whichever client it is of. */
export const nginx = (port: number, nodes: ReadonlyArray<number>): string => `
daemon off;
worker_processes 1;
${process.getuid?.() === 0 ? "user root; # the folder is closed to others" : ""}
pid nginx.pid;
error_log stderr crit;
events {}
http {
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  default_type text/html;
  upstream nodes {
${nodes.map((node) => `    server 127.0.0.1:${node};`).join("\n")}
  }
  map $http_upgrade $connection_header {
    default upgrade;
    "" "";
  }
  server {
    listen 127.0.0.1:${port};
    root .;
    index page.html;
    location /socket.io/ {
      proxy_pass http://nodes;
      proxy_http_version 1.1;
      proxy_next_upstream error timeout http_503;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_header;
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
  }
}
`
