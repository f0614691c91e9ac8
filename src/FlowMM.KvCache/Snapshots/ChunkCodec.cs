using System.Buffers;
using System.Buffers.Binary;
using System.IO.Hashing;
using System.Security.Cryptography;
using System.Text;
using ZstdSharp;

namespace FlowMM.KvCache;

/// <summary>
/// One chunk as a frame: header, checksum, body; the body compressed and encrypted when asked for. A frame is checked by itself; the digest in the
/// manifest binds it to tenant, session, write, epoch and index, so that a whole chunk in another place is refused too.
/// </summary>
internal sealed class ChunkCodec(SnapshotManifest manifest, byte[]? key, int? zstdLevel) : IDisposable
{
    private const ushort Zstd = 1;
    private const ushort AesGcm256 = 2;
    private const int NonceBytes = 12;
    private const int TagBytes = 16;
    private const int ChecksumAt = 48;

    private readonly Compressor? _compressor = zstdLevel is int level ? new Compressor(level) : null;
    private readonly AesGcm? _cipher = key is null ? null : new AesGcm(key, TagBytes);
    private readonly byte[] _place = Encoding.UTF8.GetBytes($"flowmm chunk 1/{manifest.Tenant}/{manifest.Origin}/{manifest.Write:N}/{manifest.Epoch}/");

    public void Dispose()
    {
        _compressor?.Dispose();
        _cipher?.Dispose();
    }

    /// <summary>Writes a frame and returns its length.</summary>
    /// <param name="index">Place among the chunks.</param>
    /// <param name="raw">The chunk.</param>
    /// <param name="frame">Room for <see cref="SnapshotFormat.FrameSlack"/> more than the chunk.</param>
    internal int Encode(int index, ReadOnlySpan<byte> raw, Span<byte> frame)
    {
        ushort encoding = 0;
        ReadOnlySpan<byte> body = raw;
        byte[]? packed = null;
        try
        {
            if (_compressor is not null)
            {
                packed = ArrayPool<byte>.Shared.Rent(Compressor.GetCompressBound(raw.Length));
                int size = _compressor.Wrap(raw, packed);
                if (size < raw.Length)
                {
                    body = packed.AsSpan(0, size);
                    encoding = Zstd;
                }
            }

            int length = body.Length;
            Span<byte> into = frame[SnapshotFormat.FrameHeader..];
            if (_cipher is not null)
            {
                encoding |= AesGcm256;
                length += NonceBytes + TagBytes;
                Span<byte> nonce = into[..NonceBytes];
                RandomNumberGenerator.Fill(nonce);
                _cipher.Encrypt(nonce, body, into.Slice(NonceBytes, body.Length), into.Slice(NonceBytes + body.Length, TagBytes), Place(index));
            }
            else
            {
                body.CopyTo(into);
            }

            Head(frame, index, encoding, raw.Length, length);
            return SnapshotFormat.FrameHeader + length;
        }
        finally
        {
            if (packed is not null)
            {
                ArrayPool<byte>.Shared.Return(packed);
            }
        }
    }

    /// <summary>The digest of a frame in its place.</summary>
    internal byte[] Digest(int index, ReadOnlySpan<byte> frame)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Place(index));
        hash.AppendData(frame);
        return hash.GetHashAndReset();
    }

    /// <summary>Checks a frame and writes the chunk that it holds.</summary>
    /// <param name="index">Place that it was read for.</param>
    /// <param name="frame">All of it.</param>
    /// <param name="digest">What the manifest says of this place.</param>
    /// <param name="raw">Exactly as long as the chunk of this place is.</param>
    internal void Decode(int index, ReadOnlySpan<byte> frame, ReadOnlySpan<byte> digest, Span<byte> raw)
    {
        SpanReader reader = new(frame);
        bool sound = frame.Length >= SnapshotFormat.FrameHeader
            && BinaryPrimitives.ReadUInt64LittleEndian(frame[ChecksumAt..]) == Checksum(frame);
        if (!sound)
        {
            throw new SnapshotRefusedException(SnapshotRefusal.ChunkDamaged, $"The checksum of chunk {index} does not fit its {frame.Length} bytes.");
        }

        if (!CryptographicOperations.FixedTimeEquals(Digest(index, frame), digest))
        {
            throw new SnapshotRefusedException(SnapshotRefusal.ChunkMisplaced, $"Chunk {index} is whole, and not the one that the manifest names.");
        }

        bool magic = reader.Take(4).SequenceEqual(SnapshotFormat.ChunkMagic);
        int version = reader.UInt16();
        ushort encoding = reader.UInt16();
        (int at, int rawLength, int bodyLength, int reserved) = (reader.Int32(), reader.Int32(), reader.Int32(), reader.Int32());
        if (!magic || version != SnapshotFormat.Version || at != index || rawLength != raw.Length || reserved != 0 || reader.Int64() != manifest.Epoch || new Guid(reader.Take(16), bigEndian: true) != manifest.Write
            || bodyLength != frame.Length - SnapshotFormat.FrameHeader || encoding > (Zstd | AesGcm256) || (encoding & AesGcm256) != 0 != _cipher is not null)
        {
            throw Malformed(index, "its header contradicts the manifest");
        }

        Unpack(index, frame[SnapshotFormat.FrameHeader..], encoding, raw);
    }

    private static ulong Checksum(ReadOnlySpan<byte> frame)
    {
        XxHash3 hash = new();
        hash.Append(frame[..ChecksumAt]);
        hash.Append(frame[SnapshotFormat.FrameHeader..]);
        return hash.GetCurrentHashAsUInt64();
    }

    private static SnapshotRefusedException Malformed(int index, string what) => new(SnapshotRefusal.Malformed, $"Chunk {index} is malformed: {what}.");

    private void Head(Span<byte> frame, int index, ushort encoding, int raw, int body)
    {
        SnapshotFormat.ChunkMagic.CopyTo(frame);
        BinaryPrimitives.WriteUInt16LittleEndian(frame[4..], SnapshotFormat.Version);
        BinaryPrimitives.WriteUInt16LittleEndian(frame[6..], encoding);
        BinaryPrimitives.WriteInt32LittleEndian(frame[8..], index);
        BinaryPrimitives.WriteInt32LittleEndian(frame[12..], raw);
        BinaryPrimitives.WriteInt32LittleEndian(frame[16..], body);
        BinaryPrimitives.WriteInt32LittleEndian(frame[20..], 0);
        BinaryPrimitives.WriteInt64LittleEndian(frame[24..], manifest.Epoch);
        manifest.Write.TryWriteBytes(frame[32..], bigEndian: true, out _);
        BinaryPrimitives.WriteUInt64LittleEndian(frame[ChecksumAt..], Checksum(frame[..(SnapshotFormat.FrameHeader + body)]));
    }

    private byte[] Place(int index) => [.. _place, .. Encoding.UTF8.GetBytes($"{index}")];

    private void Unpack(int index, ReadOnlySpan<byte> body, ushort encoding, Span<byte> raw)
    {
        byte[]? plain = null;
        try
        {
            if (_cipher is not null)
            {
                if (body.Length < NonceBytes + TagBytes)
                {
                    throw Malformed(index, "it is too short to be encrypted");
                }

                int length = body.Length - NonceBytes - TagBytes;
                plain = ArrayPool<byte>.Shared.Rent(length);
                _cipher.Decrypt(body[..NonceBytes], body.Slice(NonceBytes, length), body[^TagBytes..], plain.AsSpan(0, length), Place(index));
                body = plain.AsSpan(0, length);
            }

            Expand(index, body, (encoding & Zstd) != 0, raw);
        }
        catch (AuthenticationTagMismatchException)
        {
            throw new SnapshotRefusedException(SnapshotRefusal.NotAuthentic, $"Chunk {index} does not decrypt under its key.");
        }
        finally
        {
            if (plain is not null)
            {
                ArrayPool<byte>.Shared.Return(plain, clearArray: true);
            }
        }
    }

    private static void Expand(int index, ReadOnlySpan<byte> body, bool packed, Span<byte> raw)
    {
        try
        {
            using Decompressor? decompressor = packed ? new Decompressor() : null;
            int length = decompressor?.Unwrap(body, raw) ?? body.Length;
            if (length != raw.Length)
            {
                throw Malformed(index, $"it holds {length} bytes instead of {raw.Length}");
            }

            if (!packed)
            {
                body.CopyTo(raw);
            }
        }
        catch (ZstdException error)
        {
            throw Malformed(index, error.Message);
        }
    }
}
