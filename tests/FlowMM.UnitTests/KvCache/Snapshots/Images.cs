using System.Buffers.Binary;
using FlowMM.KvCache;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Snapshots;

/// <summary>Small images by a formula, and snapshots of them as bytes.</summary>
internal static class Images
{
    internal static readonly CacheShape Shape = new(Layers: 2, QueryHeads: 4, KvHeads: 2, HeadDim: 4);

    internal static readonly SnapshotOwner Owner = new("tenant", "session", Digest(1), Digest(2));

    internal static readonly SnapshotStamp Stamp = new(3, 7, """{"method":"flowmm"}""", DateTimeOffset.UnixEpoch.AddDays(20_000));

    internal static readonly SnapshotKeys Keys = new(
        new Dictionary<string, byte[]> { ["old"] = Digest(8), ["new"] = Digest(9) }, "new");

    /// <summary>Two segments, of 10 and 6 tokens, kept as 4 and 3 entries in layer 0 and as 5 and 2 in layer 1, and a tail.</summary>
    internal static SessionImage Image(int tail = 5, ScalarType dtype = ScalarType.Float32, int seed = 0)
    {
        SessionSegment[] segments = [Segment(0, 10, [4, 5], [true, false]), Segment(10, 6, [3, 2], [false, true])];
        int tokens = 16 + tail;
        return new SessionImage
        {
            Shape = Shape,
            Dtype = dtype,
            Identities = [.. Enumerable.Range(0, tokens).Select(i => (i % 3 == 0 ? -1L : 1L) * (seed + 1) * 1_000_003 * (i + 1))],
            Frozen = 16,
            Segments = segments,
            Shifts = [new(4, -2), new(12, -1)],
            Layers = [.. Enumerable.Range(0, Shape.Layers).Select(l => Layer(segments.Sum(s => s.Lengths[l]), tail, tokens, dtype, seed + l))],
        };
    }

    internal static byte[] Digest(byte fill) => [.. Enumerable.Repeat(fill, 32)];

    /// <summary>Writes an image; small chunks, so that there are several.</summary>
    internal static Snapshot Write(SessionImage image, SnapshotSettings? settings = null, SnapshotOwner? owner = null, SnapshotStamp? stamp = null)
    {
        using SnapshotEncoder encoder = new(image, owner ?? Owner, stamp ?? Stamp, settings ?? new SnapshotSettings { ChunkBytes = 256 });
        byte[] room = new byte[encoder.MostFrameBytes];
        byte[][] chunks = [.. Enumerable.Range(0, encoder.ChunkCount).Select(i => room[..encoder.Encode(i, room)])];
        return new Snapshot(encoder.Manifest(), chunks);
    }

    internal static SessionImage Read(Snapshot snapshot, SnapshotKeys? keys = null, SnapshotOwner? owner = null, CacheShape? shape = null, ScalarType dtype = ScalarType.Float32)
    {
        SnapshotManifest manifest = ManifestCodec.Read(snapshot.Manifest, keys ?? SnapshotKeys.None);
        using SnapshotDecoder decoder = new(manifest, owner ?? Owner, shape ?? Shape, dtype, keys ?? SnapshotKeys.None, 1 << 20);
        for (int i = 0; i < Math.Min(snapshot.Chunks.Length, manifest.Chunks.Count); i++)
        {
            decoder.Add(i, snapshot.Chunks[i]);
        }

        return decoder.Finish();
    }

    internal static bool Same(SessionImage a, SessionImage b) =>
        a.Identities.SequenceEqual(b.Identities) && a.Frozen == b.Frozen && a.Shape == b.Shape && a.Dtype == b.Dtype
        && a.Shifts.SequenceEqual(b.Shifts)
        && a.Segments.Zip(b.Segments).All(s => s.First.Position == s.Second.Position && s.First.Tokens == s.Second.Tokens
            && s.First.Lengths.SequenceEqual(s.Second.Lengths) && s.First.Inter.SequenceEqual(s.Second.Inter))
        && a.Layers.Zip(b.Layers).All(l => l.First.Length == l.Second.Length && l.First.FixedLength == l.Second.FixedLength && l.First.Data.AsSpan().SequenceEqual(l.Second.Data));

    private static SessionSegment Segment(int position, int tokens, int[] lengths, bool[] inter) =>
        new() { Position = position, Tokens = tokens, Lengths = lengths, Inter = inter };

    private static LayerImage Layer(int final, int tail, int tokens, ScalarType dtype, int seed)
    {
        LayerImage layer = new(final + tail, final, Shape, dtype);
        int entries = Shape.KvHeads * layer.Length, tensor = layer.Bytes - (13 * entries);
        for (int i = 0; i < tensor; i++)
        {
            layer.Data[i] = (byte)((i * 31) + (seed * 7));
        }

        for (int i = 0; i < entries; i++)
        {
            bool merged = i % layer.Length < final;
            Span<byte> rest = layer.Data.AsSpan(tensor);
            BinaryPrimitives.WriteSingleLittleEndian(rest[(4 * i)..], merged ? i / 8f : 0);
            BinaryPrimitives.WriteInt32LittleEndian(rest[(4 * (entries + i))..], i % layer.Length * tokens / layer.Length);
            BinaryPrimitives.WriteInt32LittleEndian(rest[(4 * ((2 * entries) + i))..], merged ? 2 : 1);
            rest[(12 * entries) + i] = (byte)(i % 2);
        }

        return layer;
    }
}

/// <summary>A snapshot as the store holds it.</summary>
internal sealed record Snapshot(byte[] Manifest, byte[][] Chunks);
