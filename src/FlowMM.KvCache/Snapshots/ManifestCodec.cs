using System.Security.Cryptography;
using System.Text;
using TorchSharp;

namespace FlowMM.KvCache;

/// <summary>Manifests as bytes: fixed fields, strings, layer table, chunk table, digest. Pure functions.</summary>
public static class ManifestCodec
{
    private const ushort Encrypted = 1;
    private const int LengthAt = 12;
    private const int FixedFields = 192;
    private const int MostLayers = 4096;

    /// <summary>The bytes of a manifest.</summary>
    /// <param name="manifest">What to write.</param>
    /// <param name="keys">Where the key of an encrypted one is found.</param>
    public static byte[] Write(SnapshotManifest manifest, SnapshotKeys keys)
    {
        using MemoryStream stream = new();
        using BinaryWriter writer = new(stream, Encoding.UTF8);
        writer.Write(SnapshotFormat.ManifestMagic);
        writer.Write((ushort)SnapshotFormat.Version);
        writer.Write(manifest.KeyId.Length > 0 ? Encrypted : (ushort)0);
        writer.Write(0);
        writer.Write(manifest.ModelDigest.Span);
        writer.Write(SnapshotFormat.LayoutDigest(manifest.Shape, manifest.Dtype));
        writer.Write(manifest.OptionsDigest.Span);
        writer.Write(manifest.Turn);
        writer.Write(manifest.Epoch);
        writer.Write(manifest.Write.ToByteArray(bigEndian: true));
        writer.Write(manifest.Time.ToUnixTimeMilliseconds());
        writer.Write(manifest.Shape.Layers);
        writer.Write(manifest.Shape.KvHeads);
        writer.Write(manifest.Shape.HeadDim);
        writer.Write(SnapshotFormat.DtypeCode(manifest.Dtype));
        writer.Write(manifest.Tokens);
        writer.Write(manifest.Frozen);
        writer.Write(manifest.Segments);
        writer.Write(manifest.Shifts);
        writer.Write(manifest.ChunkBytes);
        writer.Write(manifest.Chunks.Count);
        foreach (string text in (string[])[manifest.Tenant, manifest.Session, manifest.Origin, manifest.KeyId, manifest.Options])
        {
            byte[] bytes = Encoding.UTF8.GetBytes(text);
            writer.Write(checked((ushort)bytes.Length));
            writer.Write(bytes);
        }

        foreach ((int length, int final) in manifest.Layers)
        {
            writer.Write(length);
            writer.Write(final);
        }

        foreach ((int stored, ReadOnlyMemory<byte> digest) in manifest.Chunks)
        {
            writer.Write(stored);
            writer.Write(digest.Span);
        }

        writer.Seek(LengthAt, SeekOrigin.Begin);
        writer.Write((int)stream.Length + SnapshotFormat.DigestBytes);
        writer.Flush();
        byte[] body = stream.ToArray();
        return [.. body, .. Digest(body, manifest, keys)];
    }

    /// <summary>Reads a manifest and checks it in itself; whose it is the caller checks.</summary>
    /// <param name="bytes">All of it, and nothing more.</param>
    /// <param name="keys">Where the key of an encrypted one is found.</param>
    /// <exception cref="SnapshotRefusedException">It is damaged, contradicts itself, is of an unknown version or under an unknown key.</exception>
    public static SnapshotManifest Read(ReadOnlySpan<byte> bytes, SnapshotKeys keys)
    {
        SpanReader reader = new(bytes);
        if (!reader.Take(8).SequenceEqual(SnapshotFormat.ManifestMagic))
        {
            throw new SnapshotRefusedException(SnapshotRefusal.NotASnapshot, "The manifest does not begin with the magic of snapshots.");
        }

        ushort version = reader.UInt16();
        if (version != SnapshotFormat.Version)
        {
            throw new SnapshotRefusedException(SnapshotRefusal.UnknownVersion, $"The manifest has version {version}; this program reads {SnapshotFormat.Version}.");
        }

        ushort flags = reader.UInt16();
        int length = reader.Int32();
        if (length != bytes.Length || length > SnapshotFormat.MostManifestBytes || length < FixedFields + SnapshotFormat.DigestBytes)
        {
            throw new SnapshotRefusedException(SnapshotRefusal.Truncated, $"The manifest says that it has {length} bytes; it has {bytes.Length}.");
        }

        ReadOnlySpan<byte> body = bytes[..^SnapshotFormat.DigestBytes];
        ReadOnlySpan<byte> digest = bytes[^SnapshotFormat.DigestBytes..];

        // A digest without a key is checked before a field is believed; one with a key needs three fields to find the key.
        if ((flags & Encrypted) == 0 && !CryptographicOperations.FixedTimeEquals(SHA256.HashData(body), digest))
        {
            throw Damaged();
        }

        SnapshotManifest manifest = Fields(new SpanReader(body[(LengthAt + 4)..]), out ReadOnlySpan<byte> layout);
        if ((flags & Encrypted) != 0 != (manifest.KeyId.Length > 0) || flags > Encrypted)
        {
            throw Malformed("flags and key id contradict each other");
        }

        if (!CryptographicOperations.FixedTimeEquals(Digest(body, manifest, keys), digest))
        {
            throw Damaged();
        }

        if (!layout.SequenceEqual(SnapshotFormat.LayoutDigest(manifest.Shape, manifest.Dtype)))
        {
            throw Malformed("the layout digest is not that of the sizes");
        }

        Check(manifest);
        return manifest;
    }

    private static SnapshotManifest Fields(SpanReader reader, out ReadOnlySpan<byte> layout)
    {
        byte[] model = [.. reader.Take(SnapshotFormat.DigestBytes)];
        layout = reader.Take(SnapshotFormat.DigestBytes);
        byte[] options = [.. reader.Take(SnapshotFormat.DigestBytes)];
        (long turn, long epoch) = (reader.Int64(), reader.Int64());
        Guid write = new(reader.Take(16), bigEndian: true);
        long time = reader.Int64();
        CacheShape shape = new(reader.Int32(), 0, reader.Int32(), reader.Int32());
        torch.ScalarType dtype = SnapshotFormat.DtypeOf(reader.Int32()) ?? throw Malformed("the type of keys is unknown");
        (int tokens, int frozen, int segments, int shifts) = (reader.Int32(), reader.Int32(), reader.Int32(), reader.Int32());
        (int chunkBytes, int chunks) = (reader.Int32(), reader.Int32());
        string[] texts = [reader.Text(), reader.Text(), reader.Text(), reader.Text(), reader.Text()];
        if (shape.Layers is < 1 or > MostLayers || shape.KvHeads is < 1 or > MostLayers || shape.HeadDim is < 1 or > 65536
            || time is < 0 or > 253402300799999 || chunks < 0
            || reader.Left != (8L * shape.Layers) + (36L * chunks))
        {
            throw Malformed("sizes and tables do not fit");
        }

        var layers = new (int, int)[shape.Layers];
        for (int i = 0; i < layers.Length; i++)
        {
            layers[i] = (reader.Int32(), reader.Int32());
        }

        var table = new (int, ReadOnlyMemory<byte>)[chunks];
        for (int i = 0; i < chunks; i++)
        {
            table[i] = (reader.Int32(), reader.Take(SnapshotFormat.DigestBytes).ToArray());
        }

        return new SnapshotManifest
        {
            ModelDigest = model,
            OptionsDigest = options,
            Turn = turn,
            Epoch = epoch,
            Write = write,
            Time = DateTimeOffset.FromUnixTimeMilliseconds(time),
            Shape = shape,
            Dtype = dtype,
            Tokens = tokens,
            Frozen = frozen,
            Segments = segments,
            Shifts = shifts,
            ChunkBytes = chunkBytes,
            Tenant = texts[0],
            Session = texts[1],
            Origin = texts[2],
            KeyId = texts[3],
            Options = texts[4],
            Layers = layers,
            Chunks = table,
        };
    }

    /// <summary>What no writer writes: every bound that a reader relies on before it takes memory. The order matters: later sums rely on earlier bounds.</summary>
    private static void Check(SnapshotManifest m)
    {
        if (m.Tokens < 0 || m.Frozen < 0 || m.Frozen > m.Tokens || m.Segments < 0 || m.Segments > m.Tokens || m.Shifts < 0 || m.Shifts > m.Tokens || m.Turn < 0 || m.Epoch < 0 || m.StateBytes >= int.MaxValue)
        {
            throw Malformed("counts pass their bounds");
        }

        if (!m.Layers.All(l => l.Length >= 0 && l.Length <= m.Tokens && l.Fixed >= 0 && l.Fixed <= l.Length
            && (long)l.Length * m.Shape.KvHeads * m.Shape.EntryBytes(m.Dtype) < int.MaxValue))
        {
            throw Malformed("the layer table passes its bounds");
        }

        if (m.ChunkBytes is < SnapshotFormat.LeastChunkBytes or > SnapshotFormat.MostChunkBytes
            || m.Chunks.Count != (m.PayloadBytes + m.ChunkBytes - 1) / m.ChunkBytes
            || !m.Chunks.All(c => c.Stored > SnapshotFormat.FrameHeader && c.Stored <= m.ChunkBytes + SnapshotFormat.FrameSlack))
        {
            throw Malformed("the chunk table does not fit the payload");
        }
    }

    private static byte[] Digest(ReadOnlySpan<byte> body, SnapshotManifest manifest, SnapshotKeys keys) => manifest.KeyId.Length == 0
        ? SHA256.HashData(body)
        : HMACSHA256.HashData(keys.Derive(manifest.KeyId, manifest.Tenant, manifest.Session).Manifest, body);

    private static SnapshotRefusedException Damaged() => new(SnapshotRefusal.ManifestDamaged, "The manifest's digest does not fit its bytes.");

    private static SnapshotRefusedException Malformed(string what) => new(SnapshotRefusal.Malformed, $"The manifest is malformed: {what}.");
}
