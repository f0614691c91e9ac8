using System.Buffers.Binary;

namespace FlowMM.KvCache;

/// <summary>
/// The bytes that chunks are cut from: identities, segment table, position shifts, then each layer's image. Read and written by offset, so that no second copy of
/// the cache is made and a layer takes memory only when its first byte comes.
/// </summary>
internal sealed class Payload
{
    private readonly byte[] _state;
    private readonly IReadOnlyList<LayerImage> _layers;

    private Payload(byte[] state, IReadOnlyList<LayerImage> layers)
    {
        (_state, _layers) = (state, layers);
        Length = state.Length + layers.Sum(l => (long)l.Bytes);
    }

    internal long Length { get; }

    /// <summary>The payload of an image.</summary>
    internal static Payload Of(SessionImage image)
    {
        byte[] state = new byte[(8 * image.Tokens) + (image.Segments.Count * (8 + (5 * image.Layers.Count))) + (8 * image.Shifts.Count)];
        Span<byte> rest = state;
        foreach (long identity in image.Identities)
        {
            BinaryPrimitives.WriteInt64LittleEndian(rest, identity);
            rest = rest[8..];
        }

        foreach (SessionSegment segment in image.Segments)
        {
            BinaryPrimitives.WriteInt32LittleEndian(rest, segment.Position);
            BinaryPrimitives.WriteInt32LittleEndian(rest[4..], segment.Tokens);
            rest = rest[8..];
            for (int layer = 0; layer < image.Layers.Count; layer++)
            {
                BinaryPrimitives.WriteInt32LittleEndian(rest, segment.Lengths[layer]);
                rest[4] = segment.Inter[layer] ? (byte)1 : (byte)0;
                rest = rest[5..];
            }
        }

        foreach (PositionShift shift in image.Shifts)
        {
            BinaryPrimitives.WriteInt32LittleEndian(rest, shift.Token);
            BinaryPrimitives.WriteInt32LittleEndian(rest[4..], shift.Amount);
            rest = rest[8..];
        }

        return new Payload(state, image.Layers);
    }

    /// <summary>An empty payload of the sizes that a manifest names.</summary>
    internal static Payload For(SnapshotManifest manifest) => new(
        new byte[(int)manifest.StateBytes], [.. manifest.Layers.Select(l => new LayerImage(l.Length, l.Fixed, manifest.Shape, manifest.Dtype))]);

    /// <summary>Copies the bytes from <paramref name="offset"/> on.</summary>
    internal void Read(long offset, Span<byte> to)
    {
        foreach ((byte[] part, int at, int count) in Parts(offset, to.Length))
        {
            part.AsSpan(at, count).CopyTo(to);
            to = to[count..];
        }
    }

    /// <summary>Fills in the bytes from <paramref name="offset"/> on.</summary>
    internal void Write(long offset, ReadOnlySpan<byte> from)
    {
        foreach ((byte[] part, int at, int count) in Parts(offset, from.Length))
        {
            from[..count].CopyTo(part.AsSpan(at, count));
            from = from[count..];
        }
    }

    /// <summary>The image, every byte of which has come.</summary>
    /// <exception cref="SnapshotRefusedException">What the bytes say contradicts itself.</exception>
    internal SessionImage Image(SnapshotManifest manifest, CacheShape shape)
    {
        SpanReader reader = new(_state);
        long[] identities = new long[manifest.Tokens];
        for (int i = 0; i < identities.Length; i++)
        {
            identities[i] = reader.Int64();
        }

        var segments = new SessionSegment[manifest.Segments];
        for (int s = 0; s < segments.Length; s++)
        {
            (int position, int tokens) = (reader.Int32(), reader.Int32());
            int[] lengths = new int[_layers.Count];
            bool[] inter = new bool[_layers.Count];
            for (int layer = 0; layer < lengths.Length; layer++)
            {
                (lengths[layer], inter[layer]) = (reader.Int32(), reader.Take(1)[0] != 0);
            }

            segments[s] = new SessionSegment { Position = position, Tokens = tokens, Lengths = lengths, Inter = inter };
        }

        var shifts = new PositionShift[manifest.Shifts];
        for (int i = 0; i < shifts.Length; i++)
        {
            shifts[i] = new PositionShift(reader.Int32(), reader.Int32());
        }

        SessionImage image = new()
        {
            Shape = shape,
            Dtype = manifest.Dtype,
            Identities = identities,
            Frozen = manifest.Frozen,
            Segments = segments,
            Shifts = shifts,
            Layers = _layers,
        };
        ImageCheck.Require(image);
        return image;
    }

    private IEnumerable<(byte[] Part, int At, int Count)> Parts(long offset, int length)
    {
        long begin = 0;
        for (int i = -1; i < _layers.Count && length > 0; i++)
        {
            int size = i < 0 ? _state.Length : _layers[i].Bytes;
            if (offset < begin + size)
            {
                int at = (int)(offset - begin), count = Math.Min(length, size - at);
                yield return (i < 0 ? _state : _layers[i].Data, at, count);
                (offset, length) = (offset + count, length - count);
            }

            begin += size;
        }
    }
}
