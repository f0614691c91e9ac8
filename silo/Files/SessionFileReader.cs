using FlowMM.Abstractions;
using FlowMM.Model;
using FlowMM.Silo.Hosting;
using FlowMM.Silo.Sessions;
using FlowMM.Silo.Store;
using Microsoft.Extensions.Options;

namespace FlowMM.Silo.Files;

/// <summary>Reads sessions' files. Nothing in one is believed before it is verified.</summary>
internal sealed class SessionFileReader(ChatModel model, Conversation conversation, IOptions<SiloSettings> silo, IOptions<FileSettings> settings)
{
    private readonly FileSettings _limits = settings.Value;

    /// <summary>Reads a whole file.</summary>
    /// <param name="file">Its bytes.</param>
    /// <param name="keep">Takes each picture, verified. That the rest of the file is good is not known yet.</param>
    /// <param name="cancellationToken">Stops reading.</param>
    /// <returns>The session, once every byte is verified; of as many epochs as turns.</returns>
    /// <exception cref="RefusedException">The file is damaged (<see cref="ErrorCode.DataLoss"/>), of another model (<see cref="ErrorCode.FailedPrecondition"/>), or not such a file.</exception>
    public async Task<SessionRecord> Read(Stream file, Func<ImmutableBytes, Task> keep, CancellationToken cancellationToken)
    {
        using FrameReader frames = new(file, _limits.MaxBytes);
        await frames.Open(cancellationToken);
        byte[] json = await frames.Next(FrameKind.Head, _limits.MaxRecordBytes, cancellationToken);
        SessionFileHead head = RecordReader.Read(json, FileJson.Default.SessionFileHead);
        ImportedTranscript transcript = new(model, conversation, silo.Value, head);
        for (long bytes = 0, turn = 0; turn < head.Turns; turn++)
        {
            json = await frames.Next(FrameKind.Turn, (int)Math.Min(_limits.MaxRecordBytes, _limits.MaxTranscriptBytes - bytes), cancellationToken);
            bytes += json.Length;
            transcript.Add(RecordReader.Read(json, FileJson.Default.TurnRecord));
        }

        transcript.End();
        foreach (string hash in transcript.Pictures)
        {
            byte[] body = await frames.Next(FrameKind.Picture, SessionFileFormat.DigestBytes + silo.Value.MaxImageBytes, cancellationToken);
            ImmutableBytes picture = ImmutableBytes.Of(body[Math.Min(body.Length, SessionFileFormat.DigestBytes)..]);
            transcript.CheckPicture(hash, body, picture);
            await keep(picture);
        }

        await frames.Next(FrameKind.End, 0, cancellationToken);
        await frames.End(cancellationToken);
        return new SessionRecord { Spec = head.Spec, CreateTime = head.CreateTime, Model = model.Name, Epoch = head.Turns, Turns = transcript.Turns };
    }
}
