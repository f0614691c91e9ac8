using System.Buffers.Binary;
using System.Text;

namespace FlowMM.KvCache;

/// <summary>Reads little-endian fields one after the other; what would reach beyond the end is refused as truncated.</summary>
internal ref struct SpanReader(ReadOnlySpan<byte> bytes)
{
    private static readonly UTF8Encoding Strict = new(false, throwOnInvalidBytes: true);
    private ReadOnlySpan<byte> _rest = bytes;

    internal readonly int Left => _rest.Length;

    internal ReadOnlySpan<byte> Take(int count)
    {
        if (count > _rest.Length)
        {
            throw new SnapshotRefusedException(SnapshotRefusal.Truncated, $"{count} bytes are missing at the end; {_rest.Length} are left.");
        }

        ReadOnlySpan<byte> taken = _rest[..count];
        _rest = _rest[count..];
        return taken;
    }

    internal ushort UInt16() => BinaryPrimitives.ReadUInt16LittleEndian(Take(2));

    internal int Int32() => BinaryPrimitives.ReadInt32LittleEndian(Take(4));

    internal long Int64() => BinaryPrimitives.ReadInt64LittleEndian(Take(8));

    internal ulong UInt64() => BinaryPrimitives.ReadUInt64LittleEndian(Take(8));

    /// <summary>A text: u16 bytes of UTF-8, then these.</summary>
    internal string Text()
    {
        ReadOnlySpan<byte> text = Take(UInt16());
        try
        {
            return Strict.GetString(text);
        }
        catch (DecoderFallbackException)
        {
            throw new SnapshotRefusedException(SnapshotRefusal.Malformed, "A text is no UTF-8.");
        }
    }
}
