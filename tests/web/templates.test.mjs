import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inOrder, ORDER, orderTemplates } from '../../web/js/templates.js'

test('our templates come in their order, those of others as they were', () => {
  const found = { other: ['b', 'a'], portraittalk: ['new', ...ORDER.toReversed()] }
  assert.deepEqual(inOrder(found), { other: ['b', 'a'], portraittalk: [...ORDER, 'new'] })
  assert.deepEqual(inOrder({ other: ['A long video'] }), { other: ['A long video'] })
  assert.deepEqual(inOrder(undefined), {})
})

test('the frontend is asked as before', async () => {
  class Api {
    names = ORDER.toReversed()
    async getWorkflowTemplates() {
      return { pack: this.names }
    }
  }
  const api = new Api()
  orderTemplates(api)
  assert.deepEqual(await api.getWorkflowTemplates(), { pack: ORDER })
  orderTemplates({}) // a frontend without it
})
