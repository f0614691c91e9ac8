using System.Buffers.Binary;
using System.Security.Cryptography;
using FlowMM.Abstractions;

namespace FlowMM.Silo.Files;

/// <summary>Takes frames off a stream that may hold anything. Memory is taken as bytes arrive, never because a length says so.</summary>
/// <param name="file">The file's bytes; not disposed.</param>
/// <param name="most">Most bytes of the whole.</param>
internal sealed class FrameReader(Stream file, long most) : IDisposable
{
    private const int FirstBytes = 64 << 10;

    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private long _read;

    /// <summary>Reads what a file begins with.</summary>
    /// <exception cref="RefusedException">It is no session's file, or one of a version that is not known.</exception>
    public async Task Open(CancellationToken cancellationToken)
    {
        byte[] prefix = await Exactly(SessionFileFormat.PrefixBytes, cancellationToken);
        if (!prefix.AsSpan().StartsWith(SessionFileFormat.Magic))
        {
            throw Refuse("it does not begin as a session's file does");
        }

        int version = BinaryPrimitives.ReadUInt16LittleEndian(prefix.AsSpan(8)), flags = BinaryPrimitives.ReadUInt16LittleEndian(prefix.AsSpan(10));
        if (version != SessionFileFormat.Version || flags != 0)
        {
            throw Refuse($"it is of version {version} with flags {flags}; version {SessionFileFormat.Version} without flags is known");
        }
    }

    /// <summary>Reads the next frame and holds it against the digest behind it.</summary>
    /// <param name="kind">What it must be.</param>
    /// <param name="longest">Most bytes of its body.</param>
    /// <param name="cancellationToken">Stops reading.</param>
    /// <exception cref="RefusedException">It is another one, too long, or its bytes are not those that were written.</exception>
    public async Task<byte[]> Next(FrameKind kind, int longest, CancellationToken cancellationToken)
    {
        byte[] frame = await Exactly(SessionFileFormat.FrameBytes, cancellationToken);
        uint found = BinaryPrimitives.ReadUInt32LittleEndian(frame);
        int length = BinaryPrimitives.ReadInt32LittleEndian(frame.AsSpan(4));
        if (found != (uint)kind)
        {
            throw Refuse($"a {kind} frame should stand at byte {_read - frame.Length}");
        }

        if (length < 0 || length > longest)
        {
            throw Refuse($"the {kind} frame at byte {_read - frame.Length} says {length} bytes; at most {longest} are taken");
        }

        byte[] body = await Exactly(length, cancellationToken);
        byte[] expected = _hash.GetCurrentHash();
        byte[] digest = await Exactly(SessionFileFormat.DigestBytes, cancellationToken);
        return digest.AsSpan().SequenceEqual(expected)
            ? body
            : throw new RefusedException(ErrorCode.DataLoss, $"The file is damaged before byte {_read}: its bytes are not those that were written.");
    }

    /// <summary>Makes sure that nothing follows.</summary>
    /// <exception cref="RefusedException">Something does.</exception>
    public async Task End(CancellationToken cancellationToken)
    {
        if (await file.ReadAsync(new byte[1], cancellationToken) > 0)
        {
            throw Refuse($"bytes follow its end at byte {_read}");
        }
    }

    public void Dispose() => _hash.Dispose();

    /// <summary>A file that is not as the format says.</summary>
    public static RefusedException Refuse(string text) => new(ErrorCode.InvalidArgument, $"This is no file of a session that can be read: {text}.");

    private async Task<byte[]> Exactly(int count, CancellationToken cancellationToken)
    {
        if (count > most - _read)
        {
            throw Refuse($"it has more than {most} bytes");
        }

        byte[] bytes = new byte[Math.Min(count, FirstBytes)];
        for (int have = 0; have < count;)
        {
            if (have == bytes.Length)
            {
                Array.Resize(ref bytes, (int)Math.Min(count, 2L * have));
            }

            int got = await file.ReadAsync(bytes.AsMemory(have), cancellationToken);
            if (got == 0)
            {
                throw new RefusedException(ErrorCode.DataLoss, $"The file ends at byte {_read + have}, before its end frame.");
            }

            have += got;
        }

        _read += count;
        _hash.AppendData(bytes);
        return bytes;
    }
}
