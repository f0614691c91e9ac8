using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using FlowMM.Abstractions;

namespace FlowMM.Silo.Files;

/// <summary>Reads records that anybody may have written.</summary>
internal static class RecordReader
{
    // What the product writes takes more bytes than this for each value that is kept as an object of its own.
    private const int LeastBytesOfAnObject = 12;
    private const int ObjectsOfAny = 1024;

    /// <summary>Reads a record.</summary>
    /// <exception cref="RefusedException">It is no such record.</exception>
    public static T Read<T>(byte[] json, JsonTypeInfo<T> type)
    {
        try
        {
            CheckTokens(json);
            return JsonSerializer.Deserialize(json, type) ?? throw FrameReader.Refuse("a record is null");
        }
        catch (Exception error) when (error is not (RefusedException or OutOfMemoryException))
        {
            // Whatever reading ends with is the file's fault. The exception's own text quotes what the file says.
            throw FrameReader.Refuse($"a record of type {typeof(T).Name} is not as it should be at byte {(error as JsonException)?.BytePositionInLine ?? 0}");
        }
    }

    /// <summary>Refuses JSON that would unpack to many times its size, as lists of empty objects do, and numbers that are read as infinite and can never be written again.</summary>
    private static void CheckTokens(byte[] json)
    {
        int left = ObjectsOfAny + (json.Length / LeastBytesOfAnObject);
        Utf8JsonReader reader = new(json);
        while (reader.Read())
        {
            if (reader.TokenType is JsonTokenType.StartObject or JsonTokenType.StartArray or JsonTokenType.String or JsonTokenType.Null && --left < 0)
            {
                throw FrameReader.Refuse("a record holds more objects than its size allows");
            }

            if (reader.TokenType is JsonTokenType.Number && reader.TryGetDouble(out double number) && !double.IsFinite(number))
            {
                throw FrameReader.Refuse($"a number at byte {reader.TokenStartIndex} of a record is out of its range");
            }
        }
    }
}
