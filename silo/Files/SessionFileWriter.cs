using System.Runtime.CompilerServices;
using System.Text.Json;
using FlowMM.Abstractions;
using FlowMM.Model;
using FlowMM.Silo.Store;
using Microsoft.Extensions.Options;

namespace FlowMM.Silo.Files;

/// <summary>
/// Writes sessions as files. The transcript and its pictures go along, the KV cache does not: a snapshot is bound to its tenant and session, so what
/// is imported is replayed.
/// </summary>
internal sealed class SessionFileWriter(ChatModel model, IOptions<FileSettings> settings)
{
    private readonly FileSettings _limits = settings.Value;

    /// <summary>A session's file in pieces of at most <see cref="SessionFileFormat.PieceBytes"/>. One picture at a time is in memory.</summary>
    /// <param name="session">The session; its committed turns are written.</param>
    /// <param name="picture">Reads a picture by its hash; null when it is gone.</param>
    /// <param name="cancellationToken">Stops writing.</param>
    /// <exception cref="RefusedException">It is of another model, larger than a file may be, or a picture is gone.</exception>
    public async IAsyncEnumerable<byte[]> Write(
        SessionRecord session, Func<string, Task<byte[]?>> picture, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (session.Model != model.Name)
        {
            throw new RefusedException(ErrorCode.FailedPrecondition, $"The session is of model {session.Model}; this cluster serves {model.Name}.");
        }

        using FrameWriter file = new();
        string[] pictures = [.. session.Images];
        Add(file, FrameKind.Head, Record(JsonSerializer.SerializeToUtf8Bytes(Head(session, pictures.Length), FileJson.Default.SessionFileHead)));
        long transcript = 0;
        foreach (TurnRecord turn in session.Turns)
        {
            byte[] record = Record(JsonSerializer.SerializeToUtf8Bytes(turn, FileJson.Default.TurnRecord));
            transcript += record.Length;
            Bound(transcript, _limits.MaxTranscriptBytes, nameof(FileSettings.MaxTranscriptBytes));
            Add(file, FrameKind.Turn, record);
            foreach (byte[] piece in file.Take(all: false))
            {
                yield return piece;
            }
        }

        foreach (string hash in pictures)
        {
            cancellationToken.ThrowIfCancellationRequested();
            byte[] bytes = await picture(hash)
                ?? throw new RefusedException(ErrorCode.FailedPrecondition, $"Picture {hash} of this session is not in the store: it was changed meanwhile, or is damaged.");
            Add(file, FrameKind.Picture, Convert.FromHexString(hash), bytes);
            foreach (byte[] piece in file.Take(all: false))
            {
                yield return piece;
            }
        }

        Add(file, FrameKind.End);
        foreach (byte[] piece in file.Take(all: true))
        {
            yield return piece;
        }
    }

    private SessionFileHead Head(SessionRecord session, int pictures) => new()
    {
        Spec = session.Spec,
        CreateTime = session.CreateTime,
        Model = session.Model,
        ModelDigest = model.Digest,
        Turns = session.Turns.Count,
        Pictures = pictures,
    };

    private void Add(FrameWriter file, FrameKind kind, params ReadOnlySpan<ReadOnlyMemory<byte>> body)
    {
        file.Add(kind, body);
        Bound(file.Written, _limits.MaxBytes, nameof(FileSettings.MaxBytes));
    }

    private byte[] Record(byte[] json)
    {
        Bound(json.Length, _limits.MaxRecordBytes, nameof(FileSettings.MaxRecordBytes));
        return json;
    }

    /// <summary>What would not be read again is not written.</summary>
    private static void Bound(long bytes, long most, string option)
    {
        if (bytes > most)
        {
            throw new RefusedException(ErrorCode.FailedPrecondition, $"The session is too large for a file: FlowMM:Files:{option} is {most} bytes.");
        }
    }
}
