using FlowMM.Abstractions;
using FlowMM.Gateway.Hosting;
using FlowMM.Inference.V1;
using ErrorCode = FlowMM.Abstractions.ErrorCode;
using MergingOptions = FlowMM.Abstractions.MergingOptions;
using SamplingOptions = FlowMM.Abstractions.SamplingOptions;

namespace FlowMM.Gateway.Requests;

/// <summary>Turns wire messages into the cluster's records. Everything that can be refused without the model is refused here.</summary>
/// <remarks>Every method throws <see cref="RefusedException"/> with <see cref="ErrorCode.InvalidArgument"/> and the field's name.</remarks>
internal static class RequestReader
{
    public const int MaxParts = 256;
    public const int MaxPage = 1_000;
    public const int MaxSeconds = 86_400;
    public const int MaxTimeoutMs = 86_400_000;
    public const int LeastPriority = -10;
    public const int DefaultPage = 100;

    /// <summary>An id that must name something.</summary>
    public static string Id(string id, string field) => SessionKey.IsValidId(id)
        ? id
        : throw Refuse($"{field} must be 1 to 128 of [A-Za-z0-9._-]");

    /// <summary>An id that the caller may leave to the server.</summary>
    public static string IdOrNew(string id, string field) => id.Length == 0 ? Guid.CreateVersion7().ToString("N") : Id(id, field);

    public static SessionSpec Spec(CreateSessionRequest request, GatewayOptions limits) => new()
    {
        System = Text(request.System, "system", limits),
        Sampling = Sampling(request.Sampling),
        Merging = Merging(request.Merging),
    };

    public static TurnRequest Turn(GenerateRequest request, string turnId, GatewayOptions limits) => new()
    {
        TurnId = turnId,
        Parts = Parts(request.Parts, limits),
        Sampling = Sampling(request.Sampling),
        Merging = Merging(request.Merging),
        ResumeOffset = request.ResumeOffset >= 0 ? request.ResumeOffset : throw Refuse("resume_offset must not be negative"),
        Priority = request.Priority >= LeastPriority && request.Priority <= limits.MaxPriority
            ? request.Priority
            : throw Refuse($"priority must be {LeastPriority} to {limits.MaxPriority}"),
        Timeout = request.TimeoutMs switch
        {
            0 => null,
            > 0 and <= MaxTimeoutMs => TimeSpan.FromMilliseconds(request.TimeoutMs),
            _ => throw Refuse($"timeout_ms must be 0 to {MaxTimeoutMs}"),
        },
    };

    /// <summary>Checks a whole message before its first picture is copied and hashed.</summary>
    public static IReadOnlyList<MessagePart> Parts(IReadOnlyList<Part> parts, GatewayOptions limits)
    {
        if (parts.Count is 0 or > MaxParts)
        {
            throw Refuse(parts.Count == 0 ? "prompt is empty" : $"parts are {parts.Count}, the limit is {MaxParts}");
        }

        long bytes = 0;
        int images = 0;
        bool asks = false;
        double last = 0;
        for (int i = 0; i < parts.Count; i++)
        {
            Check(parts[i], i, limits);
            last = Seconds(parts[i], i, last);
            images += parts[i].KindCase == Part.KindOneofCase.Image ? 1 : 0;
            asks |= !string.IsNullOrWhiteSpace(parts[i].Text);
            bytes += parts[i].CalculateSize();
        }

        if (!asks)
        {
            throw Refuse("prompt is empty");
        }

        if (images > limits.MaxImages)
        {
            throw Refuse($"pictures are {images}, the limit is {limits.MaxImages}");
        }

        return bytes <= limits.MaxRequestBytes
            ? [.. parts.Select(Read)]
            : throw Refuse($"the message has {bytes} bytes, the limit is {limits.MaxRequestBytes}");
    }

    public static (int Skip, int Take) Page(string token, int size)
    {
        int skip = 0;
        bool known = token.Length == 0
            || (int.TryParse(token, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out skip) && skip > 0);
        return known ? (skip, PageSize(size)) : throw Refuse("page_token is not one that this service gave");
    }

    public static int PageSize(int size) => size switch
    {
        < 0 or > MaxPage => throw Refuse($"page_size must be 0 to {MaxPage}"),
        0 => DefaultPage,
        _ => size,
    };

    public static string Text(string text, string field, GatewayOptions limits)
    {
        int bytes = System.Text.Encoding.UTF8.GetByteCount(text);
        return bytes <= limits.MaxTextBytes ? text : throw Refuse($"{field} has {bytes} bytes, the limit is {limits.MaxTextBytes}");
    }

    public static RefusedException Refuse(string text) => new(ErrorCode.InvalidArgument, text);

    private static void Check(Part part, int index, GatewayOptions limits)
    {
        string field = $"parts[{index}]";
        switch (part.KindCase)
        {
            case Part.KindOneofCase.Text:
                Text(part.Text, field, limits);
                break;
            case Part.KindOneofCase.Image when part.Image.Data.IsEmpty:
                throw Refuse($"{field}: the picture is empty");
            case Part.KindOneofCase.Image when part.Image.Data.Length > limits.MaxImageBytes:
                throw Refuse($"{field}: the picture has {part.Image.Data.Length} bytes, the limit is {limits.MaxImageBytes}");
            case Part.KindOneofCase.Image when PictureFormat.Of(part.Image.Data.Span) is null:
                throw Refuse($"{field} is no PNG, JPEG, GIF, WebP or BMP picture");
            case Part.KindOneofCase.None:
                throw Refuse($"{field} is neither text nor picture");
        }
    }

    /// <summary>The latest time so far of a video's frames, which come in order.</summary>
    private static double Seconds(Part part, int index, double last)
    {
        if (part.Image is not { HasTimestampSeconds: true, TimestampSeconds: double seconds })
        {
            return last;
        }

        return seconds >= last && seconds <= MaxSeconds
            ? seconds
            : throw Refuse($"parts[{index}].image.timestamp_seconds must be 0 to {MaxSeconds} and not before the frame before it");
    }

    private static MessagePart Read(Part part) => part.KindCase == Part.KindOneofCase.Text
        ? new() { Text = part.Text }
        : new() { Image = ImmutableBytes.Of(part.Image.Data.ToByteArray()), Seconds = part.Image.HasTimestampSeconds ? part.Image.TimestampSeconds : null };

    private static SamplingOptions Sampling(Inference.V1.SamplingOptions? options) =>
        options is null ? new() : OptionReader.Sampling(options);

    private static MergingOptions Merging(Inference.V1.MergingOptions? options) =>
        options is null ? new() : OptionReader.Merging(options);
}
