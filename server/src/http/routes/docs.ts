import swaggerUi from '@fastify/swagger-ui';
import type { Routes } from '../http-types.ts';

// The page's own files only: it works without the internet and asks nobody outside.
const contentSecurityPolicy =
  "default-src 'self'; base-uri 'self'; img-src 'self' data:; font-src 'self' data:; object-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'";

/** The OpenAPI document, and the page on which people read and try it. */
export async function addDocsRoutes(routes: Routes): Promise<void> {
  routes.get('/openapi.json', { schema: { hide: true } as object }, async () => routes.swagger());
  routes.get('/', { schema: { hide: true } as object }, async (_request, reply) => reply.redirect('/docs'));
  await routes.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: contentSecurityPolicy,
    // validatorUrl null: the page would show the document to a validator on the internet.
    uiConfig: { deepLinking: true, tryItOutEnabled: true, validatorUrl: null },
    theme: { title: 'Milliard API' },
  });
}
