const hex = (text: string): Buffer => Buffer.from(text, 'hex');

/** RFC 9180, appendix A.3.1: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-128-GCM, base mode, the first message. */
export const A31 = {
  info: hex('4f6465206f6e2061204772656369616e2055726e'),
  privateKey: hex('f3ce7fdae57e1a310d87f1ebbde6f328be0a99cdbcadf4d6589cf29de4b8ffd2'),
  publicKey: hex(
    '04fe8c19ce0905191ebc298a9245792531f26f0cece2460639e8bc39cb7f706a826a779b4cf969b8a0e539c7f62fb3d30ad6aa8f80e30f1d128aafd68a2ce72ea0',
  ),
  enc: hex(
    '04a92719c6195d5085104f469a8b9814d5838ff72b60501e2c4466e5e67b325ac98536d7b61a1af4b78e5b7f951c0900be863c403ce65c9bfcb9382657222d18c4',
  ),
  plaintext: hex('4265617574792069732074727574682c20747275746820626561757479'),
  aad: hex('436f756e742d30'),
  ct: hex('5ad590bb8baa577f8619db35a36311226a896e7342a6d836d8b7bcd2f20b6c7f9076ac232e3ab2523f39513434'),
  exports: [
    [hex(''), hex('5e9bc3d236e1911d95e65b576a8a86d478fb827e8bdfe77b741b289890490d4d')],
    [hex('00'), hex('6cff87658931bda83dc857e6353efe4987a201b849658d9b047aab4cf216e796')],
    [hex('54657374436f6e74657874'), hex('d8f1ea7942adbba7412c6d431c62d01371ea476b823eb697e1f6e6cae1dab85a')],
  ] as const,
};
